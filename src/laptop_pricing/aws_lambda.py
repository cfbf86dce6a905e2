"""What AWS Lambda calls: ``handler``."""

from .__main__ import add_routes
from .kit.serving.server import make_handler
from .problem import PROBLEM

handler = make_handler(PROBLEM, add_routes=add_routes)
