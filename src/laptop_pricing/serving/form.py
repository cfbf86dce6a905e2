"""The web form, a Streamlit page: what it knows and what it shows come from the REST API."""

import os
import re
import tempfile
from pathlib import Path

import pandas as pd
import requests
import streamlit as st

from laptop_pricing import NAME
from laptop_pricing.data.read import read_rows, write_csv
from laptop_pricing.data.schema import SPECIFICATION
from laptop_pricing.errors import StepFailed, UserError
from laptop_pricing.serving.api import ADDRESS_VARIABLE, KEY_VARIABLE, MAX_ROWS
from laptop_pricing.serving.words import PORTUGUESE, WORDS

SHOWN = 20  # errors of a file
SYMBOLS = {"BRL": "R$"}
LANGUAGES = ("Português", "English")


def show():
    """Draw the page, once per click."""
    st.set_page_config(page_title=NAME, layout="wide")
    english = (st.context.locale or "").startswith("en")
    st.radio(
        "Idioma / Language",
        LANGUAGES,
        index=int(english),
        key="language",
        horizontal=True,
        label_visibility="collapsed",
    )
    try:
        schema, model = _call("/v1/schema"), _call("/v1/model")
        names = {name: _translate(schema[name]) for name in ("item", "items", "target")}
        title = _say("title", **names)
        st.header(title[:1].upper() + title[1:], anchor=False)
        one, many = st.tabs([_say("one", **names), _say("many")])
        with one:
            _show_quote(schema, names)
        with many:
            _show_batch(schema, model, names)
        st.caption(_plain(_translate(model["caveat"])))
        version = model["version"] or model["sha256"][:12]
        st.caption(_plain(_say("model", model=f"{model['name']} {version}")))
    except StepFailed as error:
        st.error(str(error))


def _show_quote(schema, names):
    """The fields at the left, the answer at the right; below each other on a phone."""
    left, right = st.columns([3, 2], gap="large")
    with left, st.form("fields", border=False):
        halves = st.columns(2)
        middle = (len(schema["columns"]) + 1) // 2
        cells = {}
        for i, column in enumerate(schema["columns"]):
            with halves[i >= middle]:
                cells[column["name"]] = _ask_for(column)
        asked = st.form_submit_button(_say("ask", **names), type="primary", width="stretch")
    if asked:
        told = {name: cell for name, cell in cells.items() if cell is not None}
        st.session_state["told"] = told
    with right:
        if "told" not in st.session_state:
            st.info(_say("before"))
            return
        told = st.session_state["told"]
        margin = st.session_state.setdefault("margin", 20)  # its slider comes with the answer
        found = _call("/v1/quotes", json=told, params={"margin": margin / 100})
        if "price" in found:
            _show_answer(schema, told, found)
        else:
            lines = [f"- {_plain(_tell(line, schema))}" for line in found["detail"]]
            st.error("\n".join([_say("mend"), "", *lines]))


def _ask_for(column):
    """The widget of one column; None where nothing was said, blank for "I do not know"."""
    # Streamlit knows an option by its text: in another language it is another widget, which
    # begins with what was asked last.
    key = f"field {column['name']} {st.session_state['language']}"
    texts = {}
    if not column["required"]:
        texts[""] = _say("unknown", value=_spell(column["default"]))
    sized = column["kind"] in ("integer", "number")
    choices = map(_number, column["levels"]) if sized else column["allowed"] or [True, False]
    texts |= {choice: _spell(choice) for choice in choices}
    last = st.session_state.get("told", {}).get(column["name"], "" if "" in texts else None)
    chosen = st.session_state.setdefault(key, last)
    if chosen is not None:
        texts.setdefault(chosen, chosen)  # a size that was typed
    shared = {
        "label": _plain(_label(column)),
        "options": list(texts),
        "key": key,
        "format_func": lambda value: texts.get(value, value),
    }
    if not sized and len(texts) <= 4:  # they stay on one line
        return st.pills(**shared)
    hint = _say("choose or type" if sized else "choose")
    return st.selectbox(index=None, placeholder=hint, accept_new_options=sized, **shared)


def _show_answer(schema, told, found):
    """A price and what it rests on."""
    for text in found["warnings"]:
        st.warning(_plain(_say("doubtful", text=_translate(text))))
    unit, interval = found["unit"], found["interval"]
    st.metric(_translate(schema["target"]).capitalize(), _money(found["price"], unit))
    ends = {end: _plain(_money(interval[end], unit)) for end in ("low", "high")}
    st.markdown(_say("interval", share=interval["coverage"], **ends))
    st.slider(_say("margin"), 0, 60, step=5, format="%d%%", key="margin")
    lines = [f"| {_say('risk')} | {_say('offers')} |", "|---|---:|"]
    for offer in found["offers"]:
        lines.append(f"| {offer['risk']:.0%} | {_plain(_money(offer['offer'], unit))} |")
    st.markdown("\n".join(lines))
    st.markdown(f"**{_say('why')}**")
    st.altair_chart(_picture(schema, told, found["factors"]), width="stretch")
    st.caption(_plain(_say("base", base=_money(found["base"], unit))))


def _picture(schema, told, factors):
    """One bar per field that moved the price by half a percent or more, the longest first."""
    import altair as alt

    rows = []
    for column in schema["columns"]:
        effect = factors[column["name"]] - 1
        cell = told.get(column["name"], "")
        value = _spell(column["default"] if cell == "" else cell)
        field = f"{_named(column).split(',')[0]}: {value} {_translate(column['unit'])}"
        if abs(effect) >= 0.005:
            rows.append({"field": field, "effect": effect})
    rows.sort(key=lambda row: -abs(row["effect"]))
    base = alt.Chart(alt.Data(values=rows), height=alt.Step(26)).encode(
        x=alt.X("effect:Q", axis=None, scale=alt.Scale(padding=45)),
        y=alt.Y(
            "field:N",
            sort=[row["field"] for row in rows],
            axis=alt.Axis(title=None, labelLimit=190, domain=False, ticks=False),
        ),
    )
    raised = alt.datum.effect > 0
    color = alt.condition(raised, alt.value("#2e7d5b"), alt.value("#c4572e"))
    text = base.encode(text=alt.Text("effect:Q", format="+.0%"))
    return alt.layer(
        base.mark_bar().encode(color=color),
        text.transform_filter(raised).mark_text(align="left", dx=4),
        text.transform_filter(alt.datum.effect <= 0).mark_text(align="right", dx=-4),
    )


def _show_batch(schema, model, names):
    """A file to be priced, the prices, and what is wrong with which line."""
    st.markdown(_say("file", **names))
    st.code(
        ",".join(column["name"] for column in schema["columns"]), language=None, wrap_lines=True
    )
    uploaded = st.file_uploader(_say("upload"), type="csv", key="file")
    if uploaded is None:
        return
    try:
        priced = (uploaded.file_id, model["sha256"])
        if st.session_state.get("priced") != priced:  # else the page is only drawn anew
            st.session_state["lines"] = price_file(uploaded.getvalue(), uploaded.name)
            st.session_state["priced"] = priced
        found, answers, failures = st.session_state["lines"]
    except UserError as error:
        st.error(_plain(_say("unreadable", text=error)))
        return
    told, target = {}, schema["target"]
    for line in failures:
        told.setdefault(line["row"], []).append(_tell(line, schema))
    lines = [(row, "; ".join(texts)) for row, texts in sorted(told.items())]
    prices = pd.DataFrame.from_dict(
        {
            row: (a["price"], a["interval"]["low"], a["interval"]["high"])
            for row, a in answers.items()
        },
        orient="index",
        columns=[f"predicted_{target}", f"{target}_low", f"{target}_high"],
    ).round(2)
    if lines:
        prices = prices.join(pd.Series(dict(lines), name="error"), how="outer")
    rest = found.drop(columns=[*prices, "error"], errors="ignore")
    st.markdown(f"**{_say('priced', good=len(answers), all=len(found))}**")
    if lines:
        # A spreadsheet counts lines from 1, the header included.
        shown = [
            f"- {_plain(_say('line', line=row + 2, text=text))}" for row, text in lines[:SHOWN]
        ]
        more = [_say("more", count=len(lines) - SHOWN)] if len(lines) > SHOWN else []
        st.error("\n".join([*shown, "", *more]))
    csv = write_csv(rest.join(prices)).encode()
    st.download_button(_say("download"), csv, "priced.csv", "text/csv", on_click="ignore")
    st.dataframe(prices.join(rest), hide_index=True)


def price_file(content, name):
    """Price the rows of a CSV by the API, in blocks.

    Parameters
    ----------
    content : bytes
    name : str
        For errors.

    Returns
    -------
    found : DataFrame
        The file as it is.
    answers : dict
        The API's quotes, by row from 0.
    failures : list of dict
        What the API says about the other rows.

    Raises
    ------
    UserError
        If the file is no such table.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_bytes(content)
        try:
            found, text = read_rows(path, SPECIFICATION)
        except UserError as error:
            raise UserError(str(error).replace(str(path), name)) from None
    rows, answers, failures = text.to_dict("records"), {}, []
    for start in range(0, len(rows), MAX_ROWS):
        left = dict(enumerate(rows[start : start + MAX_ROWS], start))
        while left:
            answer, numbers = _call("/v1/quotes", json=list(left.values())), list(left)
            if isinstance(answer, list):
                answers.update(zip(numbers, answer))
                break
            for line in answer["detail"]:
                row = numbers[line["row"]]
                failures.append(line | {"row": row})
                left.pop(row, None)
    return found, answers, failures


def _call(path, json=None, params=None):
    """Ask the API.

    Returns
    -------
    dict or list
        The answer, or what the API found wrong with the rows (status 422).

    Raises
    ------
    StepFailed
        If it does not answer, or refuses: what to do, in the form's language.
    """
    api = os.environ[ADDRESS_VARIABLE].rstrip("/")
    try:
        answer = requests.request(
            "GET" if json is None else "POST",
            f"{api}{path}",
            json=json,
            params=params,
            headers={"X-API-Key": os.environ.get(KEY_VARIABLE, "").encode()},
            timeout=30,
            allow_redirects=False,
        )
        if answer.status_code in (200, 422):
            return answer.json()
    except requests.RequestException:
        raise StepFailed(_say("down", api=api, name=NAME)) from None
    if answer.status_code == 401:
        raise StepFailed(_say("key", variable=KEY_VARIABLE, name=NAME))
    raise StepFailed(_say("refused", api=api, status=f"{answer.status_code} {answer.reason}"))


def _in_english():
    return st.session_state.get("language") == LANGUAGES[1]


def _say(key, **values):
    """A text of the form, in its language."""
    return WORDS[key][_in_english()].format(**values)


def _translate(text):
    """A word of the schema in the form's language, or as it is."""
    return text if _in_english() else PORTUGUESE.get(text, text)


def _named(column):
    """A column for people."""
    name = None if _in_english() else PORTUGUESE.get(column["name"])
    return name or column["description"]


def _label(column):
    """A column and its unit for people."""
    unit = f" ({_translate(column['unit'])})" if column["unit"] else ""
    return f"{_named(column)}{unit}"


def _spell(value):
    """A cell for people."""
    if isinstance(value, bool):
        return _say("yes" if value else "no")
    return _translate(value) if isinstance(value, str) else str(_number(value))


def _number(value):
    return int(value) if value == int(value) else value


def _tell(failure, schema):
    """What is wrong with a cell or a row, in one sentence."""
    columns = {column["name"]: column for column in schema["columns"]}
    column = columns.get(failure["field"])
    if column is None:
        return _say("row wrong", text=_translate(failure["expected"]))
    if failure["found"] in ("nothing", "''"):
        return _say("missing", label=_label(column))
    return _say("wrong", label=_label(column), found=failure["found"], rule=_rule(column))


def _rule(column):
    """What a column may hold, in words."""
    if column["kind"] in ("category", "flag"):
        return _say("one of", values=", ".join(map(_spell, column["allowed"] or [True, False])))
    unit = column["unit"] and f" {_translate(column['unit'])}"
    return _say("between", low=_number(column["low"]), high=_number(column["high"]), unit=unit)


def _money(amount, unit):
    """An amount without decimals, as the language writes it."""
    digits = f"{amount:,.0f}" if _in_english() else f"{amount:,.0f}".replace(",", ".")
    return f"{SYMBOLS.get(unit, unit)}\N{NO-BREAK SPACE}{digits}"


def _plain(text):
    """`text` with nothing in it that Markdown would act on."""
    return re.sub(r"([\\`*_{}\[\]()#+!$~:<>|-])", r"\\\1", text)


if __name__ == "__main__":
    show()
