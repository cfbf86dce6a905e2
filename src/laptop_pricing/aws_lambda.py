"""What AWS Lambda calls: ``handler``."""

from .course import add_routes  # of the template
from .kit.serving.aws import make_handler
from .problem import PROBLEM

handler = make_handler(PROBLEM, add_routes=add_routes)
