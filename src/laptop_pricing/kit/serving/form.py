"""The web form: one page of HTML without scripts, whose content comes from the REST API."""

import base64
import csv
import hashlib
import io
import json
import logging
import math
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ..errors import StepFailed, UserError
from ..files import TEMPLATES, render
from ..problem import Column, Problem
from .log import log_lines
from .port import open_port

ROWS = 1_000  # of a request, as the API takes them
MAX_UPLOAD = 20_000_000  # bytes of a file
MOST_SENT = 2 * MAX_UPLOAD  # bytes of a request: a page sends the last file back, in Base64
SHOWN = 20  # rows of a file, and errors
RADIOS = 4  # choices that stay on one line; more are a list
MARGINS = range(0, 65, 5)
LANGUAGES = {"pt-BR": "Português", "en": "English"}  # of words.json, in this order
WORDS = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))
STYLE = (TEMPLATES / "form.css").read_text(encoding="utf-8")
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
log = logging.getLogger("uvicorn.error")


def run_form(problem: Problem, api: str, host: str, port: int) -> None:
    """Show the form of the API at the address `api`, until Ctrl+C."""
    listening = open_port(host, port)
    log_lines()
    log.info("Form: http://%s:%s", *listening.getsockname()[:2])
    app = create_form(problem.name, api, problem.key_variable)
    shared: Any = {"log_config": None, "access_log": False, "server_header": False}
    config = uvicorn.Config(app, lifespan="off", ws="none", limit_concurrency=100, **shared)
    uvicorn.Server(config).run(sockets=[listening])


def create_form(name: str, api: str, key_variable: str) -> Starlette:
    """The application for a project's command and the address of its API.

    It stores nothing: a page sends back all answers with each click.
    """

    def page(sent: dict[str, str], preferred: str) -> Response:
        language = int(sent.get("language", sent.get("was", preferred)) == "1")
        form, status = Form(name, api, key_variable, language), 200
        try:
            view = form.answer(sent)
        except StepFailed as error:
            view, status = {"trouble": str(error)}, 503
        shared: Any = {"style": STYLE, "languages": LANGUAGES, "margins": MARGINS}
        text = render("form.html", form=form, sent=sent, **shared, **view)
        return HTMLResponse(text, status, HEADERS)

    async def show(request: Request) -> Response:
        sent: dict[str, str] = {}
        if request.method == "POST":
            if not 0 <= int(request.headers.get("content-length", -1)) <= MOST_SENT:
                async for _ in request.stream():  # a browser shows no answer before it has sent all
                    pass
                sent = {"shown": "many", "refused": "too large"}
            else:
                sent = await _sent(request)
        known = re.search("pt|en", request.headers.get("accept-language", ""))
        preferred = "1" if known and known[0] == "en" else "0"
        return await run_in_threadpool(page, sent, preferred)

    def template(request: Request) -> Response:
        form = Form(name, api, key_variable, 1)
        try:
            form.load()
        except StepFailed as error:
            return Response(str(error), 503, HEADERS, "text/plain")
        text = io.StringIO()
        lines = csv.DictWriter(text, [column.name for column in form.columns], lineterminator="\n")
        lines.writeheader()
        lines.writerow(form.schema["example"])
        shown = {"Content-Disposition": 'attachment; filename="template.csv"'}
        return Response(text.getvalue(), 200, HEADERS | shown, "text/csv")

    paths = Route("/", show, methods=["GET", "POST"]), Route("/template.csv", template)
    return Starlette(routes=paths)


async def _sent(request: Request) -> dict[str, str]:
    """What a page sent, without what the next one need not send back; a file as Base64."""
    async with request.form(max_files=1, max_part_size=MOST_SENT) as parts:
        sent = {name: part for name, part in parts.items() if isinstance(part, str)}
        file: Any = parts.get("upload")
        sent["shown"] = sent.pop("do", sent.get("shown", ""))
        if getattr(file, "filename", ""):
            content = await file.read()
            sent |= {"file": base64.b64encode(content).decode(), "file_name": file.filename}
    if sent["shown"] == "one":  # else each page would carry the file
        sent.pop("file", None)
    return sent


class Form:
    """The page in one language, before one API."""

    def __init__(self, name: str, api: str, key_variable: str, language: int) -> None:
        self.language = language
        self.texts = {"name": name, "api": api.rstrip("/"), "variable": key_variable}

    def load(self) -> None:
        """Ask the API what there is to be asked for."""
        self.schema = schema = self.call("/v1/schema")
        self.model = self.call("/v1/model")
        self.words = {} if self.language else schema["words"]
        self.columns = [Column(**column) for column in schema["features"]]
        self.target = self.model["target"]
        names = {"item": schema["item"], "items": schema["items"], "target": self.target}
        self.texts |= {name: self.translate(text) for name, text in names.items()}

    def answer(self, sent: Mapping[str, str]) -> dict[str, Any]:
        """What the page shows beside its fields, from what was sent."""
        self.load()
        was = int(sent["was"] == "1") if "was" in sent else self.language
        cells = {c.name: sent.get(f"field.{c.name}", "").strip() for c in self.columns}
        numbers = [c.name for c in self.columns if c.numeric]
        cells |= {name: _read_number(cells[name], was) for name in numbers}
        given = sent.get("margin", "")
        margin = int(given) if given in map(str, MARGINS) else 20
        view: dict[str, Any] = {"cells": cells, "margin": margin, "errors": {}, "broken": []}
        if sent.get("shown") == "one":
            return view | self.quote(cells, margin)
        if sent.get("shown") == "many":
            return view | {"batch": self.batch(sent)}
        return view

    def quote(self, cells: dict[str, str], margin: int) -> dict[str, Any]:
        """A prediction and what it rests on, or what is wrong with the answers."""
        query = f"?margin={margin / 100}" if self.schema["bought"] else ""
        quote = self.call(f"/v1/quote{query}", cells)
        if "detail" in quote:
            told = [self.tell(line) for line in quote["detail"]]
            errors = {name: text for name, text in told if name}
            return {"errors": errors, "broken": [text for name, text in told if not name]}
        numeric = self.schema["task"] == "regression"
        quote["figure"] = (self.amount if numeric else self.called)(quote["prediction"])
        share = self.schema["errors"] == "relative" and numeric
        off = quote["typical_error"]
        error = f"{off:.0%}" if share else self.amount(off) if numeric else f"{off:.2f} (log loss)"
        quote["near"] = self.say("distance", distance=quote["distance"], error=self.local(error))
        quote["reasons"] = [] if quote["base"] is None else self.reasons(cells, quote)
        return {"quote": quote}

    def class_set(self, quote: dict[str, Any]) -> str:
        """How sure a class is, in words."""
        sure = quote["set"] == [quote["prediction"]]
        key = "set of none" if not quote["set"] else "set of one" if sure else "set"
        return self.say(key, classes=f" {self.say('or')} ".join(map(self.called, quote["set"])))

    def against(self, quote: dict[str, Any]) -> str:
        """What the reasons start from, in words."""
        if "odds" not in quote:
            return self.say("base", base=self.amount(quote["base"]))
        one, other = map(self.called, quote["odds"])
        return self.say("odds", one=one, other=other, base=self.local(f"{quote['base']:.3g}"))

    def reasons(self, cells: dict[str, str], quote: dict[str, Any]) -> list[dict[str, Any]]:
        """Each field that moved it, the longest bar first, without those under 0.005 of full."""
        values = quote["factors"] or quote["terms"]
        if "chances" in quote:
            sizes = {name: math.log(factor) for name, factor in values.items()}
            texts = {name: f"× {factor:.3g}" for name, factor in values.items()}
        elif quote["factors"]:
            sizes = {name: factor - 1 for name, factor in values.items()}
            texts = {name: f"{size:+.0%}" for name, size in sizes.items()}
        else:
            sizes, texts = values, {name: f"{term:+,.3g}" for name, term in values.items()}
        most = max(map(abs, sizes.values())) or 1
        least = 0.005 * (1 if quote["factors"] else most)
        ordered = sorted(self.columns, key=lambda column: -abs(sizes[column.name]))
        return [
            {
                "field": f"{self.label(column)}: {self.value(column, cells[column.name])}",
                "size": round(100 * sizes[column.name] / most, 1),
                "text": self.local(texts[column.name]),
            }
            for column in ordered
            if abs(sizes[column.name]) >= least
        ]

    def batch(self, sent: Mapping[str, str]) -> dict[str, Any]:
        """The first predictions of a file, all of them as CSV, and what is wrong with its rows."""
        import pandas as pd

        from ..data.read import escape_formulas

        content = base64.b64decode(sent.get("file", ""))
        if "refused" in sent or len(content) > MAX_UPLOAD:
            return {"error": self.say("too large", limit=MAX_UPLOAD // 1_000_000)}
        if "file" not in sent:
            return {"error": self.say("no file")}
        try:
            given, answers, failures = self.predict(content, sent["file_name"])
        except UserError as error:
            return {"error": self.say("unreadable", text=error)}
        table = pd.DataFrame.from_dict(answers, orient="index")
        told = {row: "; ".join(texts) for row, texts in sorted(failures.items())}
        if told:
            table = table.join(pd.Series(told, name="error"), how="outer")
        rest = given.drop(columns=[*table, "error"], errors="ignore")
        text = escape_formulas(rest.join(table)).to_csv(index=False, lineterminator="\n")
        shown = table.join(rest).drop(columns="error", errors="ignore").head(SHOWN)
        first = shown.astype(object).where(shown.notna(), "").itertuples()
        return {
            "head": [*shown],
            "rows": [(row + 1, *map(self.shown, cells)) for row, *cells in first],
            "errors": [self.say("row", row=row + 1, text=told[row]) for row in [*told][:SHOWN]],
            "more": len(told) - SHOWN,
            "good": len(answers),
            "all": len(given),
            "csv": base64.b64encode(text.encode()).decode(),
        }

    def predict(self, content: bytes, name: str) -> tuple[Any, dict[int, Any], dict[int, Any]]:
        """The rows of a CSV; by row from 0 the cells of its prediction, or what is wrong."""
        from ..data.read import read_rows

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.csv"
            path.write_bytes(content)
            wanted: Any = SimpleNamespace(features=self.columns, item=self.texts["item"])
            try:
                given, text = read_rows(path, wanted)
            except UserError as error:
                raise UserError("", str(error).replace(str(path), name)) from None
        rows = text.to_dict("records")
        answers: dict[int, Any] = {}
        failures: dict[int, list[str]] = {}
        for start in range(0, len(rows), ROWS):
            left = dict(enumerate(rows[start : start + ROWS], start))
            while left:
                found, numbers = self.call("/v1/quotes", list(left.values())), list(left)
                if isinstance(found, list):
                    answers |= dict(zip(numbers, map(self.cells, found)))
                    break
                for line in found["detail"]:
                    row, (name, text) = numbers[line["loc"][1]], self.tell(line)
                    label = "".join(f"{self.label(c)}: " for c in self.columns if c.name == name)
                    failures.setdefault(row, []).append(label + text)
                    left.pop(row, None)
        return given, answers, failures

    def cells(self, answer: dict[str, Any]) -> dict[str, Any]:
        """What is added to a row of a file: as ``predict`` does."""
        target = self.target
        if self.schema["task"] == "regression":
            ends = {f"{target}_{end}": answer["interval"][end] for end in ("low", "high")}
            found = {f"predicted_{target}": answer["prediction"]} | ends
            return {name: round(value, 2) for name, value in found.items()}
        chances = {f"chance_of_{n}": round(chance, 4) for n, chance in answer["chances"].items()}
        said = {f"predicted_{target}": answer["prediction"]}
        return said | chances | {f"{target}_set": " or ".join(answer["set"])}

    def call(self, path: str, content: Any = None) -> Any:
        """The API's answer, or what it found wrong (status 422); StepFailed says what to do."""
        method, address = "GET" if content is None else "POST", f"{self.texts['api']}{path}"
        key = {"X-API-Key": os.environ.get(self.texts["variable"], "").encode()}
        shared: dict[str, Any] = {"headers": key, "timeout": 30, "allow_redirects": False}
        try:
            answer = requests.request(method, address, json=content, **shared)
            if answer.status_code in (200, 422):
                return answer.json()
        except requests.RequestException:
            raise StepFailed("", self.say("down")) from None
        if answer.status_code == 401:
            raise StepFailed("", self.say("key"))
        raise StepFailed("", self.say("refused", status=f"{answer.status_code} {answer.reason}"))

    def tell(self, line: dict[str, Any]) -> tuple[str, str]:
        """An error of the API's: the field, or a blank for the whole row, and what is wrong."""
        if line["type"] == "rules":
            rules = map(self.translate, line["ctx"]["rules"])
            return "", "; ".join(self.say("row wrong", text=rule) for rule in rules)
        field, found = str(line["loc"][-1]), line["input"]
        column = next((column for column in self.columns if column.name == field), None)
        if column is None:
            return "", f"{field}: {line['msg']}"
        if line["type"] == "missing" or found in ("", None):
            return field, self.say("missing")
        return field, self.say("wrong", found=repr(found), rule=self.rule(column))

    def value(self, column: Column, text: str) -> str:
        """What was said of a column, in words: none, or 2 years."""
        value: Any = column.read(text)
        for word, number in column.words:
            if value == number:
                return self.translate(word)
        unit = self.unit(column, value) if column.unit and value is not None else ""
        return self.joined(self.spell(value), unit)

    def rule(self, column: Column) -> str:
        """What a column may hold, in words."""
        if not column.numeric:
            values = map(self.spell, column.allowed or (True, False))
            return self.say("one of", values=", ".join(values))
        low, high = self.spell(column.low), self.spell(column.high)
        return self.joined(self.say("between", low=low, high=high), self.unit(column))

    def say(self, key: str, **values: Any) -> str:
        """A text of words.json."""
        return WORDS[key][self.language].format(**self.texts, **values)

    def translate(self, text: str) -> str:
        """A text of the problem's."""
        return self.words.get(text, text)

    def called(self, name: str) -> str:
        """A class in words."""
        return {"Yes": self.say("yes"), "No": self.say("no")}.get(name) or self.translate(name)

    def label(self, column: Column) -> str:
        """What people call a column: its description up to a comma."""
        return (self.words.get(column.name) or column.description).partition(",")[0]

    def hint(self, column: Column) -> str:
        """What to know of a column: unit, range, what follows its label, and what a blank means."""
        parts = [(self.words.get(column.name) or column.description).partition(",")[2].strip()]
        if column.numeric:
            low, high = self.spell(column.low), self.spell(column.high)
            blank = self.say("blank") if column.optional else ""
            parts = [self.unit(column), self.say("range", low=low, high=high), *parts, blank]
        if column.default is not None:
            parts.append(self.say("unknown", value=self.spell(column.default)))
        return ", ".join(filter(None, parts))

    def options(self, column: Column) -> list[tuple[str, str]]:
        """The value and the text of each choice, or of a number's usual sizes."""
        if column.numeric:
            words: Any = {number: self.translate(word) for word, number in column.words}
            return [(self.spell(size), words.get(size, "")) for size in column.levels]
        found = [(choice, self.translate(choice)) for choice in column.allowed]
        found = found or [("Yes", self.say("yes")), ("No", self.say("no"))]
        if column.optional:
            return [("", self.say("not known")), *found]
        return found if len(found) <= RADIOS else [("", self.say("choose")), *found]

    def unit(self, column: Column, value: Any = 0) -> str:
        """A unit behind a number: 1 year, 2 years."""
        many = value != 1 and re.fullmatch("[a-z]{3,}", column.unit)
        unit = f"{column.unit}s" if many else column.unit
        return self.words.get(unit) or self.words.get(column.unit) or unit

    def spell(self, value: Any) -> str:
        """A cell in words."""
        if value is None:
            return self.say("not known")
        if isinstance(value, bool):
            return self.say("yes" if value else "no")
        return self.translate(value) if isinstance(value, str) else self.local(f"{value:.15g}")

    def shown(self, cell: Any) -> Any:
        """A cell of a table."""
        return self.local(f"{cell:,.10g}") if isinstance(cell, float) else cell

    def amount(self, value: float) -> str:
        """An amount of the target, as the language writes it: EUR 1,500, but 5.00 points."""
        unit = self.translate(self.model["unit"])
        digits = self.local(f"{value:,.{0 if value >= 100 else 2}f}")
        return self.joined(*((unit, digits) if unit.isupper() else (digits, unit)))

    def joined(self, *parts: str) -> str:
        """A number and its unit, which stay on one line."""
        return "\N{NO-BREAK SPACE}".join(filter(None, parts))

    def local(self, text: str) -> str:
        """Digits as the language writes them."""
        return text if self.language else text.translate(str.maketrans(",.", ".,"))


def _read_number(text: str, language: int) -> str:
    """A number without the marks of a language: 1.234,5 in Portuguese is 1234.5."""
    thousands, decimal = (",", ".") if language else (".", ",")
    grouped = rf"[+-]?[1-9]\d{{0,2}}(\{thousands}\d{{3}})+(\{decimal}\d+)?"
    text = text.replace(thousands, "") if re.fullmatch(grouped, text, re.ASCII) else text
    return text.replace(decimal, ".")
