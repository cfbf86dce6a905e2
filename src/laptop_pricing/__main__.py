"""The command line of the project."""

from .kit.cli import make_cli
from .model import build_model
from .problem import PROBLEM

main = make_cli(PROBLEM, build_model)

if __name__ == "__main__":
    main()
