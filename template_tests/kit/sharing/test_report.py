"""The report says the right thing about planted changes, with real Git and real DVC."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from problems import MADE, make_params, write_raw
from repos import copy_of, dvc, make_repo, write
from sklearn.ensemble import HistGradientBoostingRegressor
from solo import call, commit

from laptop_pricing.kit.data.preprocess import preprocess
from laptop_pricing.kit.data.split import is_held_out, raw_key
from laptop_pricing.kit.errors import ProjectError, UserError
from laptop_pricing.kit.files import checksum
from laptop_pricing.kit.modeling.train import train
from laptop_pricing.kit.sharing.report import report

pytestmark = pytest.mark.services

ROWS = 1000
MIDDLING, BETTER = 40, 2  # alphas
RENT = MADE.target.raw_name


def set_alpha(project, alpha):
    params = make_params(MADE, train={"folds": 2}, model={"alpha": alpha})
    write(project.root / "params.yaml", params.model_dump_json(indent=2))
    return replace(project)  # whose params are not read yet


def make_result(project, message):
    """What ``dvc repro`` would make, in this process."""
    preprocess(project)
    train(project)
    dvc(project, "commit", "-q", "-f")
    commit(project.root, message)
    return project


@pytest.fixture(scope="module")
def base(tmp_path_factory, _settings):
    """A project with a middling model on the branch stag. Read only."""
    project = make_repo(tmp_path_factory.mktemp("report") / "base", raw=False)
    write_raw(MADE, project.raw, ROWS)
    make_result(set_alpha(project, MIDDLING), "middling")
    call(project.root, "git", "branch", "stag")
    return project


def candidate(base, name, change=None, alpha=BETTER, **parts):
    """A copy of the base with another model, or other data."""
    project = replace(copy_of(base, base.root.parent.with_name(name)), **parts)
    if change:
        table = pd.read_csv(project.raw, dtype=str, keep_default_na=False)
        change(table).to_csv(project.raw, index=False, lineterminator="\n")
    return make_result(set_alpha(project, alpha), name)


@pytest.fixture(scope="module")
def better(base):
    return candidate(base, "better")


def raised(table, rows, by):
    rent = (table[RENT].astype(float) * by).round(2).astype(str)
    return table.assign(**{RENT: table[RENT].mask(rows, rent)})


def mislead(table):
    """Rents of one district that only the model learns from: what it is tested on is as it was."""
    text = table.rename(columns={column.raw_name: column.name for column in MADE.columns})
    seen = ~is_held_out(raw_key(text, MADE.features))
    return raised(table, seen & (table["District"] == "São Tomé"), 1.13)


@pytest.fixture(scope="module")
def misled(base):
    return candidate(base, "misled", mislead)


def drift(table):
    return raised(table, table.index >= 0, 1.6).assign(heating="stove").iloc[:-100]


@pytest.fixture(scope="module")
def drifted(base):
    return candidate(base, "drifted", drift, MIDDLING)


def boosting(problem, params):
    return HistGradientBoostingRegressor(categorical_features="from_dtype", max_iter=20)


@pytest.fixture(scope="module")
def boosted(base):
    return candidate(base, "boosted", build_model=boosting)


def written(project, tmp_path, base="stag", **more):
    """The report's text and what it was made from."""
    made = report(project, base, tmp_path / "report.md", **more)
    return (tmp_path / "report.md").read_text(encoding="utf-8"), made


def section(text, heading):
    return text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0].strip()


def table_of(text):
    """The rows of the one Markdown table in a text, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_a_better_model_is_to_be_promoted(base, better, tmp_path):
    text, made = written(better, tmp_path)
    assert made.promote and made.objections == []
    assert "**Verdict: promote.**\n" in text and "Because" not in text
    assert made.comparison.high < 0 and "): better." in text
    scores = re.search(r"\| MAPE \| ([\d.]+) \| ([\d.]+)", text)
    before, now = map(float, scores.groups())
    assert before - now == pytest.approx(-made.comparison.difference, abs=1e-4) and now < before
    md5 = checksum(base.raw, "md5")
    assert section(text, "Data") == f"The same as before: {ROWS} rows, md5 {md5}."
    assert table_of(section(text, "Params")) == [["model.alpha", "40", "2"]]
    assert len(table_of(section(text, "Slices that moved, out of fold"))) > 3
    assert (tmp_path / "report.png").read_bytes()[:4] == b"\x89PNG"
    assert "\n![Errors on the hold-out, both models](report.png)" in text
    assert call(better.root, "git", "rev-parse", "stag").stdout.strip() == made.commit
    text, _ = written(better, tmp_path, plot_url="https://example.org/1")
    assert "\nErrors on the hold-out, both models: [report.png](https://example.org/1)" in text


def test_a_worse_slice_is_named_though_the_whole_is_no_worse(misled, tmp_path):
    text, made = written(misled, tmp_path)
    assert not made.promote and "**Verdict: do not promote.** Because:" in text
    assert made.comparison.difference < 0.005, "no worse over all rows"
    reasons = re.findall(r"^- (.*)$", text, re.MULTILINE)
    assert reasons == made.objections
    (reason,) = [line for line in reasons if line.startswith("district ")]
    assert re.match(r"district São Tomé \(\d\d rows\): MAPE worse by 0\.\d{4}, more than", reason)
    assert not [line for line in reasons if "on the hold-out" in line]
    data = section(text, "Data")
    assert data.startswith(f"Changed: {ROWS} → {ROWS} rows, md5 ")
    assert data.endswith("No column drifted (population stability index over 0.2).")


def test_drifted_data_are_named_column_by_column(base, drifted, tmp_path):
    text, made = written(drifted, tmp_path)
    data = section(text, "Data")
    before, now = checksum(base.raw, "md5"), checksum(drifted.raw, "md5")
    assert data.startswith(f"Changed: {ROWS} → {ROWS - 100} rows, md5 {before} → {now}.")
    assert sorted(name for name, _ in table_of(data)) == ["heating", "rent"]
    assert all(float(psi) > 0.2 for _, psi in table_of(data))
    assert section(text, "Params") == "Unchanged."


def test_no_change_is_no_difference(base, tmp_path):
    text, made = written(base, tmp_path)
    assert made.promote and made.comparison.difference == 0
    assert "no clear difference" in text
    assert section(text, "Params") == "Unchanged."
    assert section(text, "Slices that moved, out of fold").startswith(
        "None by more than 4.0% of its error."
    )


def test_models_without_factors_are_compared_too(boosted, tmp_path):
    text, made = written(boosted, tmp_path)
    assert made.comparison and "Slices that moved" in text


def test_every_table_is_valid_markdown(better, misled, drifted, boosted, tmp_path):
    for project in (better, misled, drifted, boosted):
        text, _ = written(project, tmp_path)
        assert text.startswith("# flat-rents: this change against `stag`\n")
        tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
        assert len(tables) >= 3
        for table in tables:
            lines = table.splitlines()
            assert re.fullmatch(r"\|(-+\|)+", lines[1])
            assert len({line.count("|") for line in lines}) == 1, table
            assert all(line.endswith("|") for line in lines)
            assert f"\n\n{table}" in text, "a table follows an empty line"
        assert not re.search(r"nan|None \||\n\n\n|\n$\n", text)
        for heading in re.findall("^#.*$", text, re.MULTILINE):
            assert f"{heading}\n\n" in text


def test_a_base_without_a_model_is_nothing_to_compare_with(better, tmp_path):
    root = call(better.root, "git", "rev-list", "--max-parents=0", "HEAD").stdout.strip()
    text, made = written(better, tmp_path, root)
    assert made.promote and made.comparison is None
    assert f"There is nothing on `{root}` to compare with: it has no model yet" in text
    assert not (tmp_path / "report.png").exists() and "report.png" not in text
    md5 = checksum(better.raw, "md5")
    assert section(text, "Data") == f"{ROWS} rows, md5 {md5}; those of `{root}` are unknown."


def test_a_model_of_the_base_that_cannot_be_had_is_no_reason_to_promote(better, tmp_path):
    project = copy_of(better, tmp_path / "copy")
    lock = call(project.root, "git", "show", "stag:dvc.lock").stdout
    (oid,) = re.findall(r"path: models\n.*\n +md5: (\S+)", lock)
    (project.root / ".dvc/cache/files/md5" / oid[:2] / oid[2:]).unlink()
    text, made = written(project, tmp_path)
    assert not made.promote and "do not promote" in text
    (objection,) = made.objections
    assert re.match(r"not compared with stag: models of \w{7}: ", objection)


def test_by_default_the_base_is_stag_or_else_main_here_or_at_the_origin(better, tmp_path):
    clone = replace(better, root=tmp_path / "clone")
    call(tmp_path, "git", "clone", "-q", better.root, "clone")
    dvc(clone, "cache", "dir", "--local", better.root / ".dvc" / "cache")
    dvc(clone, "checkout", "-q")
    _, made = written(clone, tmp_path, None)
    assert made.base == "stag" and made.comparison
    call(clone.root, "git", "branch", "-rd", "origin/stag")
    call(clone.root, "git", "branch", "main", "HEAD~1")
    assert written(clone, tmp_path, None)[1].base == "main"
    call(clone.root, "git", "branch", "-D", "main")
    with pytest.raises(UserError, match="stag or main: no such branch here") as error:
        report(clone, output=tmp_path / "report.md")
    fetch = error.value.remedy.partition(",")[0]
    assert call(clone.root, *fetch.split()).returncode == 0
    assert written(clone, tmp_path, None)[1].base == "stag"


def test_an_unknown_base_is_the_users_mistake_and_nothing_is_written(better, tmp_path):
    with pytest.raises(UserError, match="nowhere: no such branch here; git fetch origin nowhere"):
        written(better, tmp_path, "nowhere")
    project = copy_of(better, tmp_path / "copy")
    (project.models / "metadata.json").unlink()
    (tmp_path / "out").mkdir()
    with pytest.raises(ProjectError, match="metadata.json"):
        written(project, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
