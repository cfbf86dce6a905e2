"""The same API on AWS Lambda: API Gateway or a function URL calls :func:`handler`."""

import os
from functools import cache
from pathlib import Path

from mangum import Mangum

from laptop_pricing.serving.server import build_app


@cache
def _adapter():
    models = Path(os.environ.get("LAMBDA_TASK_ROOT", ".")) / "models"
    app, _ = build_app(models)
    return Mangum(app, lifespan="off")


def handler(event, context):
    """Answer one event; the first one loads the bundle."""
    return _adapter()(event, context)
