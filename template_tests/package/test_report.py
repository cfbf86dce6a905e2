"""The report says the right thing about planted changes, with real Git and real DVC."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from solo import call, change_params, commit, make_project, ours

from laptop_pricing import report as module
from laptop_pricing.data.sample import write_sample
from laptop_pricing.data.schema import COLUMNS, FEATURES, SLICED_BY
from laptop_pricing.data.split import is_held_out, specification_key
from laptop_pricing.errors import StepFailed, UserError
from laptop_pricing.files import checksum
from laptop_pricing.modeling.compiled import CompiledModel
from laptop_pricing.report import examine, report
from laptop_pricing.settings import PARAMS_FILE, Workspace, load_params

pytestmark = pytest.mark.services

ROWS = 1000
MIDDLING = {"train__crossed": [], "train__alphas": [45.0]}
BETTER = {"train__alphas": [2.0]}


def train(root, message):
    done = call(root, "dvc", "repro", "-q")
    assert done.returncode == 0, done.stderr
    commit(root, message)
    return Workspace(root)


def change_data(workspace, change):
    """Ingest the raw file with a change to it."""
    table = pd.read_csv(workspace.raw, dtype=str, keep_default_na=False)
    changed = workspace.root.parent / f"{workspace.root.name}.csv"
    change(table).to_csv(changed, index=False, lineterminator="\n")
    done = ours(workspace.root, "ingest", changed)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A project with a middling model on the branch stag. Read only."""
    folder = tmp_path_factory.mktemp("report")
    write_sample(folder / "sample.csv", ROWS)
    root = make_project(folder / "base", folder / "sample.csv")
    change_params(root, **MIDDLING)
    assert ours(root, "ingest", folder / "sample.csv").returncode == 0
    workspace = train(root, "middling")
    call(root, "git", "branch", "stag")
    return workspace


def candidate(base, name):
    root = base.root.with_name(name)
    return Workspace(Path(shutil.copytree(base.root, root, symlinks=True)))


@pytest.fixture(scope="module")
def better(base):
    workspace = candidate(base, "better")
    change_params(workspace.root, **BETTER)
    return train(workspace.root, "better")


def mislead(table):
    """Prices of one brand that only the model learns from: what it is tested on is as it was."""
    text = table.rename(columns={column.raw_name: column.name for column in COLUMNS})
    seen = (table["brand"] == "Lenovo") & ~is_held_out(specification_key(text))
    raised = (table["Price"].astype(float) * 1.2).round().astype(int).astype(str)
    return table.assign(Price=table["Price"].mask(seen, raised))


@pytest.fixture(scope="module")
def misled(base):
    workspace = candidate(base, "misled")
    change_params(workspace.root, **BETTER)
    change_data(workspace, mislead)
    return train(workspace.root, "misled")


def drift(table):
    raised = (table["Price"].astype(float) * 1.4).round().astype(int).astype(str)
    return table.assign(warranty="3 years", Price=raised).iloc[:-100]


@pytest.fixture(scope="module")
def drifted(base):
    workspace = candidate(base, "drifted")
    change_data(workspace, drift)
    return train(workspace.root, "drifted")


def written(workspace, tmp_path, base="stag"):
    """The report's text and what it was made from."""
    output = tmp_path / "report.md"
    found = report(workspace, load_params(workspace.root / PARAMS_FILE), base, output)
    return output.read_text(encoding="utf-8"), found


def section(text, heading):
    return text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0].strip()


def table_of(text):
    """The rows of the one Markdown table in a text, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_a_better_model_is_to_be_promoted(base, better, tmp_path):
    text, found = written(better, tmp_path)
    assert found.promote and found.objections == []
    assert "**Verdict: promote.**" in text and "Because" not in text
    assert found.comparison.high < 0 and "): better." in text
    before, now = (
        float(cell) for cell in re.search(r"\| MAPE \| ([\d.]+) \| ([\d.]+)", text).groups()
    )
    assert before - now == pytest.approx(-found.comparison.difference, abs=1e-4) and now < before
    md5 = checksum(base.raw, "md5")
    assert section(text, "Data") == f"The same as before: {ROWS} rows, md5 {md5}."
    assert table_of(section(text, "Params")) == [["train.alphas", "[45.0]", "[2.0]"]]
    assert len(table_of(section(text, "Slices that moved, out of fold"))) > 3
    assert (tmp_path / "report.png").read_bytes()[:4] == b"\x89PNG"
    assert "](report.png)" in text
    assert call(better.root, "git", "rev-parse", "stag").stdout.strip() == found.commit


def test_a_worse_slice_is_named_though_the_whole_is_no_worse(misled, tmp_path):
    text, found = written(misled, tmp_path)
    assert not found.promote and "**Verdict: do not promote.** Because:" in text
    assert found.comparison.difference < 0.005, "no worse over all rows"
    reasons = re.findall(r"^- (.*)$", text, re.MULTILINE)
    assert reasons == found.objections
    (reason,) = [line for line in reasons if line.startswith(f"{SLICED_BY} ")]
    assert re.match(
        rf"{SLICED_BY} Lenovo \(\d\d rows\): MAPE worse by 0\.\d{{4}}, more than", reason
    )
    assert not [line for line in reasons if "on the hold-out" in line]


def test_drifted_data_are_named_column_by_column(base, drifted, tmp_path):
    text, found = written(drifted, tmp_path)
    data = section(text, "Data")
    before, now = checksum(base.raw, "md5"), checksum(drifted.raw, "md5")
    assert data.startswith(f"Changed: {ROWS} → {ROWS - 100} rows, md5 {before} → {now}.")
    assert sorted(name for name, _ in table_of(data)) == ["price", "warranty"]
    assert all(float(psi) > 0.2 for _, psi in table_of(data))
    assert section(text, "Params") == "Unchanged."
    assert found.data == {"rows": (ROWS, ROWS - 100), "md5": (before, now)}


def test_data_that_changed_without_drift_are_said_so(base, misled, tmp_path):
    text, _ = written(misled, tmp_path)
    data = section(text, "Data")
    assert data.startswith(f"Changed: {ROWS} → {ROWS} rows, md5 ")
    assert data.endswith("No column drifted (population stability index over 0.2).")


def test_no_change_is_no_difference(base, tmp_path):
    text, found = written(base, tmp_path)
    assert found.promote and found.comparison.difference == 0
    assert "no clear difference" in text
    assert section(text, "Params") == "Unchanged."
    assert section(text, "Slices that moved, out of fold").startswith("None by more than")
    assert section(text, "Factors that changed sign").startswith("None.")


def test_factors_that_changed_sign_are_named(base, better, monkeypatch, tmp_path):
    factors = CompiledModel.factors
    calls = []

    def turned(model, table):
        """The champion's, first asked for, with one brand the other way round."""
        found = factors(model, table)
        calls.append(model)
        if len(calls) == 1:
            turned = table["brand"].to_numpy() == "MSI"
            brand = FEATURES.index("brand")
            found[turned, brand] = 1 / found[turned, brand]
        return found

    params = load_params(base.root / PARAMS_FILE)
    assert not len(examine(base, params, "stag").flipped)
    monkeypatch.setattr(CompiledModel, "factors", turned)
    text, found = written(base, tmp_path)
    ((field, value, before, now),) = table_of(section(text, "Factors that changed sign"))
    assert (field, value) == ("brand", "MSI")
    before, now = (float(cell.removeprefix("x ")) for cell in (before, now))
    assert before < 1 < now and before * now == pytest.approx(1, abs=0.01)


def test_every_table_is_valid_markdown(better, misled, drifted, tmp_path):
    for workspace in (better, misled, drifted):
        text, _ = written(workspace, tmp_path)
        assert text.startswith("# laptop-pricing: this change against `stag`\n")
        tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
        assert len(tables) >= 3
        for table in tables:
            lines = table.splitlines()
            assert re.fullmatch(r"\|(-+\|)+", lines[1])
            assert len({line.count("|") for line in lines}) == 1, table
            assert all(line.endswith("|") for line in lines)
            assert f"\n\n{table}" in text, "a table follows an empty line"
        assert "nan" not in text and "None |" not in text


def test_a_base_without_a_model_is_nothing_to_compare_with(better, tmp_path):
    root = call(better.root, "git", "rev-list", "--max-parents=0", "HEAD").stdout.strip()
    text, found = written(better, tmp_path, root)
    assert found.promote and found.comparison is None
    assert f"There is nothing on `{root}` to compare with: it has no model yet\n" in text
    assert not (tmp_path / "report.png").exists()
    md5 = checksum(better.raw, "md5")
    assert section(text, "Data") == f"{ROWS} rows, md5 {md5}; those of `{root}` are unknown."
    assert "| train.alphas | [1.0, 10.0] | [2.0] |" in text


def test_a_model_of_the_base_that_cannot_be_had_is_no_reason_to_promote(
    better, tmp_path, monkeypatch
):
    def lost(*_):
        raise StepFailed("models of 1234567: the storage does not answer")

    monkeypatch.setattr(module.storage, "fetch", lost)
    text, found = written(better, tmp_path)
    assert not found.promote
    assert found.objections == [
        "not compared with stag: models of 1234567: the storage does not answer"
    ]
    assert "do not promote" in text


def test_an_unknown_base_is_the_users_mistake(better, tmp_path):
    done = ours(better.root, "report", "--base", "nowhere", "-o", tmp_path / "report.md")
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "'nowhere': no such branch here; git fetch origin nowhere" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("branches", "found"),
    [
        (["stag", "main"], "stag"),
        (["origin/stag", "main"], "origin/stag"),
        (["main", "origin/main"], "main"),
        (["origin/main"], "origin/main"),
    ],
)
def test_the_base_is_the_first_that_is_there(better, tmp_path, branches, found):
    root = candidate(better, f"based on {found.replace('/', ' ')}").root
    call(root, "git", "branch", "-D", "stag")
    for name in branches:
        folder = "remotes" if "/" in name else "heads"
        call(root, "git", "update-ref", f"refs/{folder}/{name}", "HEAD~1")
    done = ours(root, "report", "-o", tmp_path / "report.md")
    assert done.returncode == 0, done.stderr
    assert f"this change against `{found}`\n" in (tmp_path / "report.md").read_text("utf-8")


def test_in_a_clone_of_one_branch_the_remedy_brings_the_base(better, tmp_path):
    clone = tmp_path / "clone"
    call(tmp_path, "git", "clone", "-q", "--single-branch", "-b", "devl", better.root, clone)
    done = ours(clone, "report", "-o", tmp_path / "report.md")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    remedy = re.search(r"; (git fetch .*?), or name a --base", done.stderr)[1]
    assert call(clone, *remedy.split()).returncode == 0
    done = ours(clone, "report", "-o", tmp_path / "report.md")
    assert "none of" not in done.stderr  # but that nothing is trained here


def test_the_command_says_the_verdict_and_why(misled, tmp_path):
    done = ours(misled.root, "report", "-o", tmp_path / "report.md")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("report.md: do not promote\n")
    assert f"Warning: {SLICED_BY} Lenovo" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"report.md", "report.png"}


def test_nothing_is_written_where_the_workspace_is_not_whole(better, tmp_path):
    workspace = Workspace(Path(shutil.copytree(better.root, tmp_path / "copy", symlinks=True)))
    workspace.metrics.unlink()
    (tmp_path / "out").mkdir()
    with pytest.raises((UserError, OSError), match="metrics.json"):
        written(workspace, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
