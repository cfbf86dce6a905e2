"""The same API on AWS Lambda, for events of API Gateway and of function URLs."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from mangum import Mangum

from ..problem import Problem
from .server import build_app


def make_handler(problem: Problem, **more: Any) -> Callable[[Any, Any], Any]:
    """What Lambda calls; `more` goes to :func:`build_app`. The first event loads the bundle."""

    @cache
    def adapter() -> Mangum:
        models = Path(os.environ.get("LAMBDA_TASK_ROOT", ".")) / "models"
        return Mangum(build_app(problem, models, **more)[0], lifespan="off")

    return lambda event, context: adapter()(event, context)
