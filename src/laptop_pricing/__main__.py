"""The command line of the project."""

from typing import Any

from .kit.cli import make_cli
from .model import build_model
from .problem import PROBLEM

add_routes: Any = None  # further routes of the REST API
# <!-- of the template -->
from .course import add_routes  # noqa: E402, F811

# <!-- end of the template -->

main = make_cli(PROBLEM, build_model, add_routes=add_routes)

if __name__ == "__main__":
    main()
