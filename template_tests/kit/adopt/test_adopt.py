"""A table becomes the project's own: decided, written, refused; and it works without an edit."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repos import dvc, make_repo, write
from sklearn.datasets import load_iris
from solo import call, commit

from laptop_pricing.kit.adopt.adopt import MARK, adopt, check_first, decide
from laptop_pricing.kit.adopt.words import example_body, example_command
from laptop_pricing.kit.data.ingest import ingest
from laptop_pricing.kit.data.preprocess import preprocess
from laptop_pricing.kit.errors import ProjectError, UserError
from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.modeling.gate import criteria
from laptop_pricing.kit.modeling.predict import predict_file
from laptop_pricing.kit.modeling.quote import quote_rows
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.modeling.train import train
from laptop_pricing.kit.params import load_params
from laptop_pricing.kit.project import PARAMS_FILE, Project
from laptop_pricing.model import build_model

ROWS = 160
SILENT = {"say": lambda text: None}


def table(rows=ROWS, seed=0):
    """Houses: every kind of column, blanks, a leak, an id, a date, free text."""
    random = np.random.default_rng(seed)
    area = np.exp(random.normal(4.6, 0.5, rows)).round().astype(int)
    quality = random.choice(["Fair", "Good", "Very Good"], rows)
    age = random.choice(["", *map(str, range(0, 90, 3))], rows)
    worth = {"Fair": 0.8, "Good": 1.0, "Very Good": 1.3}
    price = 900 * area * np.array([worth[word] for word in quality]) * random.normal(1, 0.1, rows)
    return pd.DataFrame(
        {
            "House ID": random.permutation(rows) + 10_000,
            "Area": area,
            "Quality": quality,
            "Age": age,
            "Lift": random.choice(["yes", "no", "n/a"], rows),
            "Tax": random.random(rows).round(3),
            "Sold on": [f"2024-0{1 + i % 9}-1{i % 10}" for i in range(rows)],
            "Notes": [f"note {i}" for i in range(rows)],
            "Price per month": (price / 240).round(4),
            "Price": price.round(0).astype(int),
        }
    ).astype(str)


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "houses.csv"
    table().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def decision(houses):
    return decide("house-values", houses.parent, houses, "price", **SILENT)


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    """A table of three classes."""
    path, found = tmp_path_factory.mktemp("source") / "flowers.csv", load_iris(as_frame=True)
    names = dict(enumerate(found.target_names))
    found.frame.assign(target=found.target.map(names)).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def decision_on_flowers(flowers):
    return decide("flower-kinds", flowers.parent, flowers, "target", "flower", **SILENT)


@pytest.fixture(params=["decision", "decision_on_flowers"], ids=["numbers", "classes"])
def each_decision(request):
    return request.getfixturevalue(request.param)


def run_of(decision, folder):
    """The project of a decision in a folder, with its own problem and model, and quick folds."""
    spaces = {}
    for name, text in decision.texts.items():
        if name.endswith(".py"):
            spaces[name] = {}
            exec(text.replace("from .kit.", "from laptop_pricing.kit."), spaces[name])
    problem = spaces["problem.py"]["PROBLEM"]
    model = spaces.get("model.py", {"build_model": build_model})["build_model"]
    write(folder / PARAMS_FILE, decision.texts[PARAMS_FILE])
    params = load_params(folder / PARAMS_FILE)
    quick = params.train.model_copy(update={"folds": 2, "seeds": (0,)})
    params = params.model_copy(update={"train": quick})
    return Project(problem, model, folder, given_params=params)


def test_each_column_is_decided_upon_with_a_reason(decision):
    decisions = {f.raw_name: (f.decision, f.kind) for f in decision.findings}
    assert decisions == {
        "House ID": ("left out", ""),
        "Area": ("feature", "integer"),
        "Quality": ("feature", "category"),
        "Age": ("feature", "integer"),
        "Lift": ("feature", "flag"),
        "Tax": ("feature", "number"),
        "Sold on": ("left out", ""),
        "Notes": ("left out", ""),
        "Price per month": ("late", "number"),
        "Price": ("target", "integer"),
    }
    assert all(finding.why for finding in decision.findings)
    assert decision.problem.item == "house" and decision.problem.items == "houses"
    assert decision.problem.relative and decision.problem.target.low > 0
    assert decision.taken.error < 0.5 * decision.trivial


def test_classes_bring_a_model_of_their_own_and_criteria_without_a_unit(decision_on_flowers):
    assert decision_on_flowers.problem.classes == ("setosa", "versicolor", "virginica")
    assert decision_on_flowers.taken.error < 0.2 < 1 < decision_on_flowers.trivial
    assert "FactorLogistic(" in decision_on_flowers.texts["model.py"]
    params = decision_on_flowers.texts[PARAMS_FILE]
    assert "median_target" not in params and "  ROC_AUC: 0.5\n" in params
    assert '    "setosa":\n      "versicolor": 1\n      "virginica": 1\n' in params


def test_what_is_written_is_black_clean_code_that_says_the_same(each_decision, tmp_path):
    decision = each_decision
    project = run_of(decision, tmp_path)
    assert project.problem == decision.problem
    for name in ("problem.py", "model.py"):
        write(tmp_path / name, decision.texts.get(name, "x = 1\n"))
    for tool in (["black", "--check", "-q", "-l", "100"], ["flake8", "--max-line-length", "130"]):
        command = [sys.executable, "-m", *tool, tmp_path / "problem.py", tmp_path / "model.py"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_project_runs_without_an_edit(each_decision, tmp_path):
    source, project = each_decision.source, run_of(each_decision, tmp_path / "project")
    ingest(project, str(source))
    assert project.raw.read_bytes() == source.read_bytes()
    assert preprocess(project)["rejected"] == 0
    metrics, task = train(project), task_of(project.problem)
    assert metrics["cv"][task.score_name]["mean"] > 0.8
    assert all(criterion.met for criterion in criteria(metrics, project.params))
    row, failures = project.problem.read_row(project.problem.example)
    assert not failures
    (quote,) = quote_rows(project.problem, load_bundle(project.models, project.problem), [row])
    assert task.headline(quote)[0] and quote.warnings == []
    predictions, _ = predict_file(project, source, tmp_path / "out.csv")
    assert list(predictions) == task.cell_names
    assert len(predictions) == len(source.read_text().splitlines()) - 1


def test_another_spelling_of_the_same_table_gives_the_same_project(decision, houses, tmp_path):
    """Semicolons, decimal commas and thousands; ingest and predict read what adopt has read."""
    other = table()
    for name in ("Tax", "Price per month"):
        other[name] = other[name].str.replace(".", ",")
    other["Price"] = [f"{int(n):,}".replace(",", ".") for n in other["Price"]]
    path = tmp_path / "houses.csv"
    other.to_csv(path, index=False, sep=";")
    found = decide("house-values", houses.parent, path, "Price", **SILENT)
    assert found.problem == decision.problem
    assert found.notes == ["columns are divided by ';'", "decimal commas were read as points"]
    project = run_of(found, tmp_path / "project")
    ingest(project, str(path))
    pd.testing.assert_frame_equal(pd.read_csv(project.raw), pd.read_csv(houses))
    preprocess(project)
    train(project)
    predictions, _ = predict_file(project, path, tmp_path / "out.csv")
    plain, _ = predict_file(project, houses, tmp_path / "plain.csv")
    pd.testing.assert_frame_equal(predictions, plain)


# fmt: off
BAD = {
    "no such column": (table(), "Pricee", "no column Pricee; expected one of House ID",
                       "did you mean Price?"),
    "text": (table(), "Notes", "Notes: found 160 classes; expected 2 to 20", "join some of them"),
    "a constant": (table().assign(Price="7"), "Price", "found one value in every row", ""),
    "nothing": (table().assign(Price="n/a"), "Price", "found 0 rows with Price; expected 50", ""),
    "few rows": (table(49), "Price", "found 49 rows with Price; expected 50 or more", ""),
    "few known": (table().assign(Price=[*map(str, range(100, 140)), *[""] * 120]), "Price",
                  "found 40 rows with Price; expected 50", ""),
    "one column": (table()[["Price"]], "Price", "found one column", ""),
    "a thousand columns": (pd.DataFrame("1", range(60), [f"c{i}" for i in range(1000)]), "c1",
                           "found 1,000 columns; expected 500 or fewer", ""),
    "no features": (table()[["Notes", "Price"]], "Price",
                    "no column is left to predict Price from (Notes: 160", ""),
    "few different rows": (table()[["Lift", "Price"]], "Price",
                           "found 3 different houses; expected 50", ""),
}
# fmt: on


@pytest.mark.parametrize("content, target, said, hint", BAD.values(), ids=BAD)
def test_a_bad_table_is_refused_in_one_line(tmp_path, content, target, said, hint):
    content.to_csv(tmp_path / "houses.csv", index=False)
    with pytest.raises(UserError) as error:
        decide("x", tmp_path, tmp_path / "houses.csv", target, **SILENT)
    message = str(error.value)
    assert said in message and hint in message and "\n" not in message
    assert [path.name for path in tmp_path.iterdir()] == ["houses.csv"]


# The project's files


WORKED = f'"""PROBLEM: flats. {MARK}."""\n'
PAGE = """# Flats

A short description of the project.

By Ana

<!-- about -->

Flats and their rents.

<!-- end of about -->

    {command} --margin 0.2
    curl '/v1/quote?margin=0.2' -d '{body}'
    flats.csv
"""


@pytest.fixture
def repo(tmp_path):
    """A project that still is the worked example, and the folder of its problem.py."""
    project = make_repo(tmp_path / "project", raw=False)
    half = project.root / "src" / "team"
    write(half / "problem.py", WORKED)
    old = project.problem
    page = PAGE.format(command=example_command(old), body=example_body(old))
    write(project.root / "README.md", page)
    write(project.root / "docs" / "tutorial.md", page)
    commit(project.root, "the worked example")
    return project, half


def status(project):
    return call(project.root, "git", "status", "--porcelain").stdout.split()


@pytest.mark.services
def test_files_words_and_data_become_the_tables(repo, decision, houses):
    project, half = repo
    check_first(project, half / "problem.py")
    texts = adopt(project, half, decision, dry_run=True)
    assert status(project) == [] and not project.raw.parent.exists()
    assert adopt(project, half, decision) == texts
    for path, text in texts.items():
        assert path.read_text(encoding="utf-8") == text
    assert (project.root / "data/raw/houses.csv").read_bytes() == houses.read_bytes()
    assert dvc(project, "status", "-q", "data.dvc") is not None
    readme = (project.root / "README.md").read_text(encoding="utf-8")
    assert "It predicts `Price` of houses from 5 columns of `houses.csv`." in readme
    assert readme.startswith("# Flats\n\nBy Ana\n\n")  # what was not said is not left over
    assert f"{example_command(decision.problem)}\n" in readme
    assert f"'/v1/quote' -d '{example_body(decision.problem)}'" in readme
    assert "margin" not in readme and "flats.csv" not in readme
    changed = {line for line in status(project) if "/" in line or "." in line}
    assert changed == {"README.md", "data.dvc", "dvc.yaml", PARAMS_FILE, "src/team/problem.py"}


@pytest.mark.services
def test_it_is_done_once(repo, decision):
    project, half = repo
    adopt(project, half, decision)
    with pytest.raises(UserError, match=r"or to begin again, git restore \.$"):
        check_first(project, half / "problem.py")
    commit(project.root, "adopted")
    with pytest.raises(UserError) as error:
        check_first(project, half / "problem.py")
    adopted = call(project.root, "git", "log", "-1", "--format=%h").stdout.strip()
    assert f"git restore --source={adopted}~1 . and git commit" in str(error.value)
    call(project.root, "git", "restore", f"--source={adopted}~1", ".")
    check_first(project, half / "problem.py")


@pytest.mark.services
@pytest.mark.parametrize("name", ["src/team/problem.py", PARAMS_FILE, "README.md"])
def test_nothing_is_lost_that_git_does_not_hold(repo, decision, name):
    project, half = repo
    path = project.root / name
    write(path, path.read_text(encoding="utf-8") + "\n")
    before = path.read_bytes()
    with pytest.raises(UserError, match=f"{name}: is not committed"):
        adopt(project, half, decision)
    assert path.read_bytes() == before and not project.raw.parent.exists()


@pytest.mark.services
def test_data_are_not_lost_that_dvc_does_not_hold(repo, decision):
    project, half = repo
    write(project.raw, "mine\n")
    with pytest.raises(UserError, match="flats.csv: is not committed"):
        adopt(project, half, decision)
    assert project.raw.read_text() == "mine\n"
    dvc(project, "commit", "-f", "-q", "data.dvc")
    commit(project.root, "data")
    adopt(project, half, decision)
    assert [path.name for path in project.raw.parent.iterdir()] == ["houses.csv"]


# Any table

WORDS = st.sampled_from(
    ["red", "Green", "blue sky", "ÄÖ", 'a "b"', "c,d", "e;f", "'g'", "{h}", "i\\j"]
)
NUMBERS = st.floats(-1e6, 1e6).map(lambda x: f"{x:.6g}")
KINDS = {
    "flag": st.sampled_from(["yes", "no"]),
    "category": WORDS,
    "integer": st.integers(-(10**9), 10**9).map(str),
    "number": NUMBERS,
    "few numbers": st.sampled_from(["1", "2.5", "1e3", "-7"]),
    "few words": st.sampled_from(["c,d", "ÄÖ", "'g'"]),
}
NOTHING = st.sampled_from(["", "NA", "unknown"])
NAMES = st.text("abcXYZ 1_.-é%\"'{}\\#", min_size=1, max_size=8)


@st.composite
def tables(draw):
    """A target and one to four columns, of 50 to 70 rows; some have blank cells."""
    rows = draw(st.integers(50, 70))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def cells(kind, blanks):
        known = draw(st.lists(KINDS[kind], min_size=rows, max_size=rows))
        nothing = draw(NOTHING)
        return [nothing if random.random() < blanks else cell for cell in known]

    named = draw(st.lists(NAMES, min_size=2, max_size=5, unique_by=lambda n: n.strip().casefold()))
    target = draw(st.sampled_from(["integer", "number", "few numbers", "flag", "few words"]))
    columns = {named[0]: cells(target, draw(st.sampled_from([0, 0, 0.1])))}
    for name in named[1:]:
        kind, blanks = draw(st.sampled_from(sorted(KINDS))), draw(st.sampled_from([0, 0.1, 0.5]))
        columns[name] = cells(kind, blanks)
    return pd.DataFrame(columns), named[0]


@pytest.mark.services
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(made=tables())
def test_any_table_goes_through_or_is_refused_in_one_line(made, tmp_path_factory):
    content, target = made
    folder = tmp_path_factory.mktemp("any")
    content.to_csv(folder / "things.csv", index=False)
    try:
        decision = decide("any-things", folder, folder / "things.csv", target, **SILENT)
        project = run_of(decision, folder / "project")
        ingest(project, str(folder / "things.csv"))
        summary = preprocess(project)
        train(project)
        predictions, _ = predict_file(project, folder / "things.csv", folder / "out.csv")
    except ProjectError as error:
        assert "\n" not in str(error)
        return
    assert summary["rejected"] == 0 and len(predictions) == len(content)
    assert np.isfinite(predictions.select_dtypes("number").to_numpy()).all()
    assert set(predictions.iloc[:, 0]) <= set(project.problem.classes or predictions.iloc[:, 0])
    read = pd.read_parquet(project.processed / "table.parquet")
    raw = content.rename(columns=str.strip)
    raw = raw.rename(columns={c.raw_name: c.name for c in project.problem.columns})
    for column in project.problem.features:  # nothing is invented
        known = read[column.name].notna()
        for row, value in read.loc[known, column.name].items():
            assert column.read(raw.loc[row, column.name]) == value
        blank = raw.loc[read.index[~known], column.name]
        assert blank.isin(["", "NA", "unknown"]).all()
