"""The web form, a Streamlit page: what it knows and what it shows come from the REST API."""

import json
import math
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import requests
import streamlit as st

from ..data.read import escape_formulas, read_rows
from ..errors import StepFailed, UserError
from ..problem import Column
from .api import MAX_ROWS

SHOWN = 20  # errors of a file
LANGUAGES = ("Português", "English")  # of words.json, in this order
WORDS = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))


def show(name: str, api: str, key_variable: str) -> None:
    """Draw the page, once per click, for a project's command and the address of its API."""
    st.set_page_config(page_title=name, layout="wide")
    english = (st.context.locale or "").startswith("en")
    st.radio("Idioma / Language", LANGUAGES, int(english), key="language", horizontal=True)
    try:
        Form(name, api.rstrip("/"), key_variable).show()
    except StepFailed as error:
        st.error(str(error))


class Form:
    """The page in one language, before one API."""

    def __init__(self, name: str, api: str, key_variable: str) -> None:
        self.language = LANGUAGES.index(st.session_state["language"])
        self.texts = {"name": name, "api": api, "variable": key_variable}
        self.schema = schema = self.call("/v1/schema")
        self.model = self.call("/v1/model")
        self.words = {} if self.language else schema["words"]
        self.columns = [Column(**column) for column in schema["features"]]
        self.target = self.model["target"]
        names = {"item": schema["item"], "items": schema["items"], "target": self.target}
        self.texts |= {name: self.translate(text) for name, text in names.items()}

    def show(self) -> None:
        st.header(_capital(self.say("title")), anchor=False)
        one, many = st.tabs([self.say("one"), self.say("many")])
        with one:
            left, right = st.columns([3, 2], gap="large")  # below each other on a phone
            with left, st.form("fields", border=False):
                self.show_fields()
            with right:
                self.show_quote()
        with many:
            self.show_batch()
        st.caption(_plain(self.translate(self.model["caveat"])))
        version = self.model["version"] or self.model["sha256"][:12]
        st.caption(_plain(self.say("model", model=f"{self.model['name']} {version}")))

    def show_fields(self) -> None:
        halves, cells = st.columns(2), {}
        for i, column in enumerate(self.columns):
            with halves[2 * i > len(self.columns)]:
                cells[column.name] = self.ask_for(column)
        if st.form_submit_button(self.say("ask"), type="primary", width="stretch"):
            told = {name: cell for name, cell in cells.items() if cell is not None}
            st.session_state["told"] = told

    def ask_for(self, column: Column) -> Any:
        """The widget of one column; None where nothing was said, blank for "I do not know"."""
        # Streamlit knows an option by its text: in another language it is another widget, which
        # begins with what was asked last.
        key = f"field {column.name} {LANGUAGES[self.language]}"
        choices = [_number(level) for level in column.levels] or column.allowed
        texts: dict[Any, str] = {choice: self.spell(choice) for choice in choices}
        if column.kind == "flag":
            texts = {True: self.say("yes"), False: self.say("no")}
        if column.optional:
            kept = self.say("unknown", value=self.spell(column.default))
            texts = {"": self.spell(None) if column.default is None else kept} | texts
        last = st.session_state.get("told", {}).get(column.name, "" if "" in texts else None)
        chosen = st.session_state.setdefault(key, last)
        if chosen is not None:
            texts.setdefault(chosen, chosen)  # a size that was typed
        shared: dict[str, Any] = {
            "label": _plain(self.label(column)),
            "options": list(texts),
            "key": key,
            "format_func": lambda value: texts.get(value, value),
        }
        if not column.numeric and len(texts) <= 4:  # they stay on one line
            return st.pills(**shared)
        shared["placeholder"] = self.say("choose or type" if column.numeric else "choose")
        return st.selectbox(index=None, accept_new_options=column.numeric, **shared)

    def show_quote(self) -> None:
        """A prediction and what it rests on, or what is wrong with what was said."""
        if "told" not in st.session_state:
            st.info(self.say("before"))
            return
        told = st.session_state["told"]
        margin = st.session_state.setdefault("margin", 20)  # its slider comes with the answer
        answer = self.call(
            f"/v1/quote?margin={margin / 100}" if self.schema["bought"] else "/v1/quote", told
        )
        if "detail" in answer:
            lines = [f"- {_plain(self.tell(line))}" for line in answer["detail"]]
            st.error("\n".join([self.say("correct"), "", *lines]))
            return
        for text in answer["warnings"]:
            st.warning(_plain(self.say("doubtful", text=self.translate(text))))
        show = {"regression": self.show_number, "classification": self.show_classes}
        show[self.schema["task"]](told, answer)

    def show_number(self, told: dict[str, Any], answer: dict[str, Any]) -> None:
        """A predicted number with its interval, offers and reasons."""
        st.metric(_capital(self.texts["target"]), self.amount(answer["prediction"]))
        low, high = (_plain(self.amount(answer["interval"][end])) for end in ("low", "high"))
        share, off = answer["interval"]["coverage"], answer["typical_error"]
        error = f"{off:.0%}" if self.schema["errors"] == "relative" else _plain(self.amount(off))
        st.markdown(self.say("interval", share=share, low=low, high=high))
        st.caption(self.say("distance", distance=answer["distance"], error=error))
        if self.schema["bought"]:
            st.slider(self.say("margin"), 0, 60, step=5, format="%d%%", key="margin")
            lines = [f"| {self.say('risk')} | {self.say('offers')} |", "|---|---:|"]
            for offer in answer["offers"]:
                lines.append(f"| {offer['risk']:.0%} | {_plain(self.amount(offer['offer']))} |")
            st.markdown("\n".join(lines))
        if answer["base"] is not None:
            factors = {name: factor - 1 for name, factor in (answer["factors"] or {}).items()}
            effects = factors or answer["terms"]
            full = 1 if factors else max(map(abs, effects.values()))
            self.show_reasons(told, effects, full, "{:+.0%}" if factors else "{:+,.3g}")
            st.caption(_plain(self.say("base", base=self.amount(answer["base"]))))

    def show_classes(self, told: dict[str, Any], answer: dict[str, Any]) -> None:
        """The class to say, the chance of each, the set, and reasons."""
        st.metric(_capital(self.texts["target"]), self.called(answer["prediction"]))
        for name, chance in answer["chances"].items():
            st.progress(chance, f"{_plain(self.called(name))}: **{chance:.1%}**")
        held = [f"**{_plain(self.called(name))}**" for name in answer["set"]]
        sure = answer["set"] == [answer["prediction"]]
        key = "set of none" if not held else "set of one" if sure else "set"
        st.markdown(self.say(key, classes=f" {self.say('or')} ".join(held)))
        error = f"{answer['typical_error']:.2f} (log loss)"
        st.caption(self.say("distance", distance=answer["distance"], error=error))
        if answer["base"] is not None:
            sizes = {name: math.log(factor) for name, factor in answer["factors"].items()}
            self.show_reasons(told, sizes, 1, "× {:.3g}", math.exp)
            one, other = map(self.called, answer["odds"])
            odds = self.say("odds", one=one, other=other, base=f"{answer['base']:.3g}")
            st.caption(_plain(odds))

    def show_reasons(
        self,
        told: dict[str, Any],
        effects: dict[str, float],
        full: float,
        text: str,
        shown: Callable[[float], float] = float,
    ) -> None:
        """One bar per field that moved it, the longest first, without those under 0.005 of full."""
        import altair as alt

        rows: list[dict[str, Any]] = []
        for column in self.columns:
            effect, cell = effects[column.name], told.get(column.name, "")
            value = self.spell(column.default if cell == "" else cell)
            field = f"{self.named(column).split(',')[0]}: {value} {self.translate(column.unit)}"
            if abs(effect) >= 0.005 * full:
                said = text.format(shown(effect))
                rows.append({"field": field, "effect": effect, "text": said})
        rows.sort(key=lambda row: -abs(row["effect"]))
        axis = alt.Axis(title=None, labelLimit=190, domain=False, ticks=False)
        bars = alt.Chart(alt.Data(values=rows), height=alt.Step(26)).encode(
            x=alt.X("effect:Q", axis=None, scale=alt.Scale(padding=45)),
            y=alt.Y("field:N", sort=None, axis=axis),
        )
        up = "datum.effect > 0"
        color = alt.condition(up, alt.value("#2e7d5b"), alt.value("#c4572e"))
        side: dict[str, Any] = {
            "align": alt.expr(f"{up} ? 'left' : 'right'"),
            "dx": alt.expr(f"{up} ? 4 : -4"),
        }
        texts = bars.mark_text(**side).encode(text="text:N")
        st.markdown(f"**{self.say('why')}**")
        st.altair_chart(bars.mark_bar().encode(color=color) + texts, width="stretch")

    def show_batch(self) -> None:
        """A file to be predicted, the predictions, and what is wrong with which line."""
        st.markdown(self.say("file"))
        st.code(",".join(column.name for column in self.columns), language=None, wrap_lines=True)
        uploaded = st.file_uploader(self.say("upload"), type="csv", key="file")
        if uploaded is None:
            return
        wanted = (uploaded.file_id, self.model["sha256"])
        try:
            if st.session_state.get("predicted") != wanted:  # else the page is only drawn again
                st.session_state["lines"] = self.predict(uploaded.getvalue(), uploaded.name)
                st.session_state["predicted"] = wanted
        except UserError as error:
            st.error(_plain(self.say("unreadable", text=error)))
            return
        given, answers, failures = st.session_state["lines"]
        table = pd.DataFrame.from_dict(answers, orient="index")
        st.markdown(f"**{self.say('priced', good=len(answers), all=len(given))}**")
        if failures:
            told = {row: "; ".join(map(self.tell, lines)) for row, lines in failures.items()}
            table = table.join(pd.Series(told, name="error"), how="outer")
            # A spreadsheet counts lines from 1, the header included.
            texts = [self.say("line", line=row + 2, text=told[row]) for row in sorted(told)]
            more = [self.say("more", count=len(texts) - SHOWN)] if len(texts) > SHOWN else []
            st.error("\n".join([*(f"- {_plain(text)}" for text in texts[:SHOWN]), "", *more]))
        rest = given.drop(columns=[*table, "error"], errors="ignore")
        csv = escape_formulas(rest.join(table)).to_csv(index=False, lineterminator="\n").encode()
        st.download_button(self.say("download"), csv, "predicted.csv", on_click="ignore")
        st.dataframe(table.join(rest), hide_index=True)

    def predict(self, content: bytes, name: str) -> tuple[pd.DataFrame, dict[int, Any], Any]:
        """The rows of a CSV; by row from 0 the cells of its prediction, or the API's errors."""
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
        failures: dict[int, list[Any]] = {}
        for start in range(0, len(rows), MAX_ROWS):
            left = dict(enumerate(rows[start : start + MAX_ROWS], start))
            while left:
                found, numbers = self.call("/v1/quotes", list(left.values())), list(left)
                if isinstance(found, list):
                    answers |= dict(zip(numbers, map(self.cells, found)))
                    break
                for line in found["detail"]:
                    row = numbers[line["loc"][1]]
                    failures.setdefault(row, []).append(line)
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

    def say(self, key: str, **values: Any) -> str:
        return WORDS[key][self.language].format(**self.texts, **values)

    def translate(self, text: str) -> str:
        return self.words.get(text, text)

    def called(self, name: str) -> str:
        """A class in words."""
        return {"Yes": self.say("yes"), "No": self.say("no")}.get(name) or self.translate(name)

    def named(self, column: Column) -> str:
        return self.words.get(column.name) or column.description

    def label(self, column: Column) -> str:
        return self.named(column) + (f" ({self.translate(column.unit)})" if column.unit else "")

    def spell(self, value: Any) -> str:
        if value is None:
            return self.say("not known")
        if isinstance(value, bool):
            return self.say("yes" if value else "no")
        return self.translate(value) if isinstance(value, str) else str(_number(value))

    def tell(self, line: dict[str, Any]) -> str:
        """An error of the API's, in one sentence."""
        if line["type"] == "rules":
            rules = map(self.translate, line["ctx"]["rules"])
            return "; ".join(self.say("row wrong", text=rule) for rule in rules)
        field, found = line["loc"][-1], line["input"]
        column = next((column for column in self.columns if column.name == field), None)
        if column is None:
            return f"{field}: {line['msg']}"
        if line["type"] == "missing" or found in ("", None):
            return self.say("missing", label=self.label(column))
        rule = self.rule(column)
        return self.say("wrong", label=self.label(column), found=repr(found), rule=rule)

    def rule(self, column: Column) -> str:
        """What a column may hold, in words."""
        if not column.numeric:
            values = map(self.spell, column.allowed or (True, False))
            return self.say("one of", values=", ".join(values))
        low, high, unit = _number(column.low), _number(column.high), self.translate(column.unit)
        return self.say("between", low=low, high=high, unit=unit and f" {unit}")

    def amount(self, value: float) -> str:
        """An amount of the target, as the language writes it: EUR 1,500, but 5.00 points."""
        unit, digits = self.translate(self.model["unit"]), f"{value:,.{0 if value >= 100 else 2}f}"
        digits = digits if self.language else digits.translate(str.maketrans(",.", ".,"))
        return "\N{NO-BREAK SPACE}".join((unit, digits) if unit.isupper() else (digits, unit))


def _number(value: float) -> Any:
    return int(value) if value == int(value) else value


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(text: str) -> str:
    """`text` with nothing in it that Markdown would act on."""
    return re.sub(r"([\\`*_{}\[\]()#+!$~:<>|-])", r"\\\1", text)
