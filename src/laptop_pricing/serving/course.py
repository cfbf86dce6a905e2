# <!-- this page is of the template -->
"""The course's own request and answer, so that its clients work unchanged."""

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from laptop_pricing.data.row import Failure
from laptop_pricing.modeling.quote import quote_rows

NAMES = {"graphic_card": "graphic_card_gb"}
_YES_NO = {"0": "no", "1": "yes"}
WORDS = {
    "os_bit": {"32": "32-bit", "64": "64-bit"},
    "touchscreen": _YES_NO,
    "msoffice": _YES_NO,
}
EXAMPLE = {
    "brand": "dell",
    "processor_brand": "intel",
    "processor_name": "core i5",
    "os": "windows",
    "weight": "casual",
    "warranty": "2",
    "touchscreen": "0",
    "ram_gb": "16",
    "hdd": "0",
    "ssd": "256",
    "graphic_card": "8",
    "ram_type": "ddr4",
    "os_bit": "64",
}


class Payload(BaseModel):
    data: dict[str, str]


class Answer(BaseModel):
    prediction: float
    version: str


def add_route(router, bundle, version, responses):
    """Add ``/course/quotes``.

    Parameters
    ----------
    router : APIRouter
    bundle : Bundle
    version : str
        What the answer calls the model.
    responses : dict
        The documented refusals.
    """
    from laptop_pricing.serving.api import Refused, read_body, read_rows

    body = {"schema": Payload.model_json_schema(), "example": {"data": EXAMPLE}}

    @router.post(
        "/course/quotes",
        summary="The course's payload",
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": body}}},
        responses={200: {"model": Answer}, **responses},
    )
    async def course_quotes(request: Request):
        found = await read_body(request)
        data = found.get("data") if isinstance(found, dict) else None
        if not isinstance(data, dict):
            raise Refused([(None, Failure("data", "no such object", "one entry per field"))])
        (quote,) = quote_rows(bundle, read_rows(_ours(data)))
        return JSONResponse({"prediction": quote.price, "version": version})


def _ours(data):
    """The course's names and words in ours."""
    return {
        NAMES.get(name, name): WORDS.get(name, {}).get(cell, cell) if type(cell) is str else cell
        for name, cell in data.items()
    }
