"""monitor: drift is found and chance is not, outcomes are held against what was said."""

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import servers
from problems import GAINS, LOANS, MADE
from pydantic_core import to_json

from laptop_pricing.kit.data.table import records
from laptop_pricing.kit.errors import StepFailed, UserError
from laptop_pricing.kit.modeling import drift
from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.serving.export import export_quotes, stored_quotes
from laptop_pricing.kit.serving.monitor import monitor, parse_since
from laptop_pricing.kit.serving.quotelog import (
    Logged,
    QuoteLog,
    log_files,
    new_id,
    read_log,
)
from laptop_pricing.kit.serving.replay import replay_quotes
from laptop_pricing.kit.serving.served import Served

QUOTES = 400


def log_quotes(project, folder, change=lambda rows: rows, when=None):
    """Quotes for rows of the table in a log; gives their ids, and the actual targets."""
    problem, (table, _) = project.problem, read_processed(project)
    served = Served.of(problem, load_bundle(project.models, problem), "models")
    rows = table.sample(QUOTES, replace=True, random_state=1, ignore_index=True)
    wanted, lines = SimpleNamespace(margin=None, risk=None), []
    for row in records(change(rows), problem.names):
        asked = to_json({"case": row, "margin": None, "risk": None})
        told = served.answer(problem, row, wanted)
        facts = (None, served.model.sha256, served.model.data_md5)
        lines.append(Logged(new_id(), when or time.time(), *facts, asked, told))
    log = QuoteLog(folder)
    assert log.add(lines)
    log.close()
    return pd.Series(rows[problem.target.name].to_numpy(), [line[0] for line in lines])


def write_outcomes(path, actual, name):
    actual.rename(name).rename_axis("quote_id").to_csv(path)
    return path


@pytest.mark.parametrize("problem", [MADE, GAINS, LOANS], ids=lambda p: p.name)
def test_quotes_like_the_data_raise_no_alarm(trained, tmp_path, problem):
    project = trained(problem)
    actual = log_quotes(project, tmp_path / "quotes")
    path = write_outcomes(tmp_path / "outcomes.csv", actual, problem.target.raw_name)
    found = monitor(project, tmp_path / "quotes", 0, tmp_path / "m.html", path)
    assert (found.alarms, found.notes) == ([], [])
    assert len(found.quotes) == len(found.outcomes.lines) == QUOTES
    assert {*problem.names, "prediction", "warnings"} == set(found.drift["quantity"])
    assert found.outcomes.coverage > 0.85
    page = (tmp_path / "m.html").read_text("utf-8")
    assert "No alarm" in page and page.count("<svg") == 2


def most_one(name, value, share=0.3):
    return lambda rows: rows.assign(**{name: rows[name].mask(rows.index < share * QUOTES, value)})


SHIFTS = {
    "a category": (most_one("district", "East"), "district"),
    "a number": (lambda rows: rows.assign(area=(rows["area"] * 1.5).clip(8, 400)), "area"),
    "a value that is new": (most_one("rooms", 11, 0.1), "rooms"),
    "a flag": (most_one("lift", True), "lift"),
}


@pytest.mark.parametrize("change, name", SHIFTS.values(), ids=SHIFTS)
def test_a_shift_is_found_and_named(trained, tmp_path, change, name):
    log_quotes(trained(MADE), tmp_path / "quotes", change)
    found = monitor(trained(MADE), tmp_path / "quotes", 0, tmp_path / "m.html")
    assert f"{name} drifted" in " ".join(found.alarms)
    drifted = set(found.drift.loc[found.drift["drifted"], "quantity"])
    assert drifted <= {name, "prediction", "warnings"}
    assert f"{MADE.labels[name]}</td>" in (tmp_path / "m.html").read_text("utf-8")


def test_outcomes_that_are_worse_raise_an_alarm(trained, tmp_path):
    project = trained(MADE)
    criteria = project.params.criteria.model_copy(update={"MAPE": 0.15})
    params = project.params.model_copy(update={"criteria": criteria})
    project = replace(project, given_params=params)
    actual = log_quotes(project, tmp_path / "quotes") * 1.5
    actual["ffff"] = 500.0  # no quote
    path = write_outcomes(tmp_path / "outcomes.csv", actual, "rent")
    found = monitor(project, tmp_path / "quotes", 0, tmp_path / "m.html", path)
    assert [text.split(" ")[0] for text in found.alarms] == ["the", "MAPE"]
    assert found.notes == ["1 outcomes are of other quotes"]
    assert found.outcomes.coverage < 0.5
    low = found.outcomes.misses_low
    assert 0.15 < low[-1] < 1 - found.outcomes.coverage and len(low) == QUOTES


def test_since_other_models_and_damaged_lines(trained, tmp_path):
    project, folder = trained(MADE), tmp_path / "quotes"
    log_quotes(project, folder, when=time.time() - 3 * 86_400)
    (path,) = log_files(folder)
    path.write_bytes(path.read_bytes().replace(b'"sha256":"', b'"sha256":"0'))
    log_quotes(project, folder)
    path = log_files(folder)[1]
    content = path.read_bytes()[:-2] + b"\n"
    path.write_bytes(content.replace(b'"interval"', b'"lost"', 1))
    output = tmp_path / "m.html"
    recent = monitor(project, folder, parse_since("2d"), output)
    assert len(recent.quotes) == QUOTES - 2
    assert recent.notes == ["2 damaged lines in the log"]
    whole = monitor(project, folder, parse_since("1w"), output)
    assert len(whole.quotes) == 2 * QUOTES - 2
    predicted = whole.drift.set_index("quantity").loc["prediction", "now"]
    assert sum(predicted) == QUOTES - 2  # of this model alone
    few = monitor(project, folder, time.time() + 1, output)
    assert few.notes[1:] == ["0 quotes; 100 or more say whether there is drift"]
    assert "No quotes" in output.read_text("utf-8")


BAD = {
    "no id": ("rent\n500\n", "expected quote_id and rent"),
    "no target": ("quote_id\n1\n", "expected quote_id and rent"),
    "no number": ("quote_id,rent\n1,much\n", "row 1: rent: found 'much'"),
    "no rows": ("quote_id,rent\n", "no rows"),
}


@pytest.mark.parametrize("text, problem", BAD.values(), ids=BAD)
def test_outcomes_that_cannot_be_read_are_refused(trained, tmp_path, text, problem):
    log_quotes(trained(MADE), tmp_path / "quotes")
    (tmp_path / "o.csv").write_text(text)
    with pytest.raises(UserError, match=problem):
        monitor(trained(MADE), tmp_path / "quotes", 0, tmp_path / "m.html", tmp_path / "o.csv")
    assert not (tmp_path / "m.html").exists()


def test_a_time_that_is_none_is_refused():
    assert parse_since("2026-11-01") < parse_since("1h") < time.time() < parse_since("0d") + 60
    for text in ("yesterday", "7", "9999999w", "999999w", ""):
        with pytest.raises(UserError, match="--since"):
            parse_since(text)


def test_counts_fall_into_the_bins_of_the_reference():
    few = pd.Series([4, 8, 8, 16, None])
    bins = drift.count(few)
    assert dict(zip(drift.bin_labels(bins), bins["counts"])) == {
        "below 4": 0,
        "4": 1,
        "8": 2,
        "16": 1,
        "above 16": 0,
        "others": 0,
        "unknown": 1,
    }
    again = drift.count_again(bins, pd.Series([1, 4, 6, 16, 17, 99, np.nan], dtype=object))
    assert again.tolist() == [1, 1, 0, 1, 2, 1, 1]
    assert drift.outside(bins, again) == 3
    many = drift.count(pd.Series(range(101)))
    assert many["counts"] == [0, *[10] * 10, 1, 0, 0, 0]
    assert drift.count_again(many, pd.Series([-1, 0, 9.5, 10, 100, 101])).tolist() == [
        1,
        2,
        1,
        *[0] * 8,
        1,
        1,
        0,
        0,
    ]
    words = drift.count(pd.Series(["a", "b", "a", None]))
    assert drift.count_again(words, pd.Series(["c", "a", None])).tolist() == [1, 0, 1, 1]
    flags = drift.count(pd.Series([True, False, True]))
    assert drift.count_again(flags, pd.Series([True, None], dtype=object)).tolist() == [0, 1, 0, 1]


def test_p_values_are_those_of_chance():
    """Under the hypothesis, at most 5 % of the p-values of rare categories are below 5 %."""
    random = np.random.default_rng(0)
    shares = [0.5, 0.3, 0.1, 0.05, 0.03, 0.01, 0.01]
    ps = [
        drift.same(random.multinomial(700, shares), random.multinomial(300, shares))
        for _ in range(1000)
    ]
    assert np.mean(np.array(ps) < 0.05) == pytest.approx(0.05, abs=0.02)
    assert drift.same(np.array([700, 0]), np.array([300, 0])) == 1
    assert drift.same(np.array([700, 0]), np.array([270, 30])) < 1e-9
    assert drift.psi(np.array([50, 50]), np.array([90, 10])) == pytest.approx(0.87, abs=0.02)


def test_an_exported_log_is_the_same(trained, tmp_path, monkeypatch):
    project, folder = trained(MADE), tmp_path / "quotes"
    log_quotes(project, folder)
    logged = list(read_log(folder))
    (tmp_path / "buckets" / "store").mkdir(parents=True)
    with servers.s3_server(tmp_path / "buckets", ("test-id", "test-secret")) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
        for target in (str(tmp_path / "out"), "s3://store/quotes"):
            assert export_quotes(folder, target) == export_quotes(folder, target) == QUOTES
            assert list(stored_quotes(target)) == logged
            assert list(stored_quotes(target, logged[7].quote_id)) == [logged[7]]
            assert list(stored_quotes(target, since=time.time())) == []
            assert replay_quotes(project, target).differences == []
            assert monitor(project, target, 0, tmp_path / "m.html").alarms == []
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        with pytest.raises(StepFailed, match="^s3://store/quotes: "):
            export_quotes(folder, "s3://store/quotes")
    with pytest.raises(UserError, match="no quotes here"):
        list(stored_quotes(tmp_path / "nowhere"))
    (tmp_path / "out" / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(StepFailed, match="bad.parquet: "):
        list(stored_quotes(tmp_path / "out"))
