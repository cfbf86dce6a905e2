"""The command line of the project."""

from .course import add_routes  # of the template
from .kit.cli import make_cli
from .model import build_model
from .problem import PROBLEM

main = make_cli(PROBLEM, build_model, add_routes=add_routes)

if __name__ == "__main__":
    main()
