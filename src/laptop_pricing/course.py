# <!-- this page is of the template -->
"""The course's own request and answer, so that its clients work unchanged."""

from typing import TYPE_CHECKING, Any

from .problem import PROBLEM

if TYPE_CHECKING:
    from fastapi import FastAPI

NAMES = {"graphic_card": "graphic_card_gb"}
_YES_NO = {"0": "no", "1": "yes"}
WORDS = {"os_bit": {"32": "32-bit", "64": "64-bit"}, "touchscreen": _YES_NO, "msoffice": _YES_NO}
# fmt: off
EXAMPLE = {
    "brand": "dell", "processor_brand": "intel", "processor_name": "core i5", "os": "windows",
    "weight": "casual", "warranty": "2", "touchscreen": "0", "ram_gb": "16", "hdd": "0",
    "ssd": "256", "graphic_card": "8", "ram_type": "ddr4", "os_bit": "64",
}
# fmt: on


def add_routes(app: "FastAPI") -> None:
    """Add ``/v1/course/quotes``. No other command pays for what is imported here."""
    from pydantic import BaseModel, Field, TypeAdapter

    from .kit.modeling.quote import quote_rows
    from .kit.serving.api import validated
    from .kit.serving.schemas import case_model

    class Payload(BaseModel):
        data: dict[str, str] = Field(examples=[EXAMPLE])

    class Answer(BaseModel):
        prediction: float
        version: str

    case = TypeAdapter[Any](case_model(PROBLEM))

    @app.post("/v1/course/quotes", summary="The course's payload")
    async def course_quotes(payload: Payload) -> Answer:
        cells = payload.data.items()
        ours = {NAMES.get(name, name): WORDS.get(name, {}).get(cell, cell) for name, cell in cells}
        row = vars(validated("body", case.validate_python, ours))
        served = app.state.served
        (quote,) = quote_rows(PROBLEM, served.bundle, [row])
        version = served.model.version or served.model.sha256[:12]
        return Answer(prediction=quote.prediction, version=version)
