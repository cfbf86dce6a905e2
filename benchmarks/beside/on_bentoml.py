"""Our model on BentoML: bentoml serve on_bentoml:Quotes --port PORT."""

import bentoml
from quotes import quote


@bentoml.service(workers=1)
class Quotes:
    """Answers ``{"case": {...}}``."""

    @bentoml.api(route="/v1/quote")
    async def quote(self, case: dict) -> dict:
        return quote(case)
