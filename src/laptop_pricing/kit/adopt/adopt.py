"""Take a table on as the project's own: look at it, choose what suits it, write, register."""

import difflib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..data.source import Source, open_source
from ..data.table import GROUP, KEY, records, validate
from ..errors import UserError
from ..files import atomic_path, short, write_text
from ..modeling.train import MIN_GROUPS
from ..problem import Column, Problem, says_nothing
from ..process import git, run_dvc
from ..project import PARAMS_FILE, Project
from . import choose
from .leaks import find_leaks
from .look import Finding, look
from .survey import survey
from .write import Choices, files

MARK = "Begun by `"  # in a problem.py that was written before
_RESERVED = (GROUP, KEY, "row", "margin", "risk")


class Adopted(NamedTuple):
    """What was decided and written."""

    findings: list[Finding]
    notes: list[str]
    errors: dict[str, float]  # of each model that was tried
    error_name: str
    written: list[Path]


def adopt(
    project: Project,
    source: Path,
    target: str,
    item: str = "",
    items: str = "",
    dry_run: bool = False,
    say: Callable[[str], None] = print,
) -> Adopted:
    """Write problem.py, params.yaml and model.py for a table, and make it the raw dataset.

    A UserError says what is wrong with the table, or that Git does not hold what would be replaced;
    then nothing is written. With `dry_run` nothing is written either.
    """
    folder = Path(__file__).resolve().parents[2]  # the team's half
    _check_untouched(project, folder)
    say(f"Looking at {short(source)}")
    opened = open_source(source)
    notes = list(opened.notes)
    tallies, sample = survey(opened.blocks())
    target = _find(source, list(tallies), target)
    findings = look(tallies, _RESERVED, target)
    aim = _target(source, findings, target)
    tally = tallies[target]
    if tally.blank:
        notes.append(f"{tally.blank} rows have no {target}: they will be set aside")
    if tally.known < MIN_GROUPS:
        raise UserError(source, f"found {tally.known} rows; expected {MIN_GROUPS} or more")
    sample = sample[~sample[target].map(says_nothing)]
    findings = _with_leaks(sample, findings, aim)
    problem = _problem(project, source, findings, item, items)
    table = _typed(problem, sample, findings)
    problem = choose.with_choices(problem, table)
    say("Trying models")
    tried = choose.compare(problem, table)
    crossed, _ = min(tried.values(), key=lambda one: one[1])
    errors = {name: error for name, (_, error) in tried.items()}
    problem = replace(problem, example=_example(problem, table))
    middle = table[problem.target.name].median()
    promised = float(np.mean(choose.evaluate_median(problem, table)))
    seeds = range(5 if tally.known <= 2_000 else 2 if tally.known <= 10_000 else 1)
    path = short(source.resolve())
    texts = files(problem, findings, Choices(path, crossed, float(middle), promised, seeds))
    paths = {project.root / n if n == PARAMS_FILE else folder / n: t for n, t in texts.items()}
    written = [*paths, project.root / "data" / "raw" / problem.raw_file]
    if not dry_run:
        _write(paths, written[-1], source, opened)
    return Adopted(findings, notes, errors, problem.error_name, written)


def _check_untouched(project: Project, folder: Path) -> None:
    paths = [folder / "problem.py", folder / "model.py", project.root / PARAMS_FILE]
    if MARK in paths[0].read_text(encoding="utf-8"):
        problem = "describes a table that was adopted before, and may be edited since"
        remedy = "to begin again, git restore --source=COMMIT it as it was before, and commit"
        raise UserError(short(paths[0]), problem, remedy)
    git(project.root, "rev-parse", "HEAD", problem="no commit to go back to: git commit first")
    problem = "not committed, and adopt would replace it"
    if changed := git(project.root, "status", "--porcelain", "--", *paths):
        raise UserError(changed.split()[1], problem, "git commit it, or git restore it")
    others = [path for path in project.raw.parent.glob("*") if path.is_file()]
    if others and run_dvc(project, "status", "-q", "data.dvc", capture=True).returncode:
        raise UserError(short(others[0]), problem, "move it elsewhere, or commit it by run")


def _find(source: Path, names: Sequence[str], target: str) -> str:
    """The name of the target as the file has it."""
    folded = {name.casefold(): name for name in names}
    if (wanted := target.strip().casefold()) not in folded:
        near = difflib.get_close_matches(wanted, folded, 1)
        hint = f"did you mean {folded[near[0]]}?" if near else ""
        raise UserError(source, f"no column {target}; expected one of {', '.join(names)}", hint)
    if len(names) < 2:
        raise UserError(source, "found one column; expected others to predict it from")
    return folded[wanted]


def _target(source: Path, findings: Sequence[Finding], target: str) -> Finding:
    """What was found out about the target, which has to be a number."""
    (aim,) = (finding for finding in findings if finding.raw_name == target)
    if aim.column is None or not aim.column.numeric:
        kind = aim.why if aim.column is None else f"a column of kind {aim.kind}"
        raise UserError(f"{source}: {target}", f"found {kind}; expected numbers to predict")
    return aim


def _with_leaks(sample: pd.DataFrame, findings: list[Finding], aim: Finding) -> list[Finding]:
    """The findings, with the target and what gives it away called so."""
    numbers = {
        f.raw_name: _floats(sample[f.raw_name], f.column)
        for f in findings
        if f.column and f is not aim
    }
    target = _floats(sample[aim.raw_name], aim.column)
    leaks = find_leaks(pd.DataFrame(numbers), target)
    decided = []
    for finding in findings:
        column = finding.column
        if finding is aim and column:
            bare = replace(column, levels=(), unknown=False, monotonic=True)
            finding = finding._replace(decision="target", column=bare)
        elif reason := leaks.get(finding.raw_name):
            check = "take it in if it is known when a prediction is asked for"
            finding = finding._replace(decision="late", why=reason, check=check)
        decided.append(finding)
    if not any(finding.decision == "feature" for finding in decided):
        raise UserError("", "no column is left to predict from", "each is left out for a reason")
    return decided


def _floats(cells: pd.Series, column: object) -> pd.Series:
    if isinstance(column, Column) and column.numeric:
        return pd.to_numeric(cells.mask(cells.map(says_nothing)), errors="coerce").astype(float)
    return pd.Series(pd.factorize(cells)[0], cells.index).astype(float)


def _problem(
    project: Project, source: Path, findings: Sequence[Finding], item: str, items: str
) -> Problem:
    words = source.stem.replace("_", " ").replace("-", " ").lower()
    items = items or (words if words.endswith("s") else "rows")
    item = item or (items[:-1] if items.endswith("s") else "row")
    columns = {d: [f.column for f in findings if f.decision == d] for d in ("feature", "late")}
    (target,) = (f.column for f in findings if f.decision == "target")
    return Problem(
        name=project.name,
        item=item,
        items=items,
        raw_file=f"{source.stem}.csv",
        features=tuple(filter(None, columns["feature"])),
        target=target,  # type: ignore[arg-type]
        late=tuple(filter(None, columns["late"])),
        left_out=tuple(f.raw_name for f in findings if f.decision == "left out"),
        example={},
        slice_by="",
        bands=(0,),
    )


def _typed(problem: Problem, sample: pd.DataFrame, findings: Sequence[Finding]) -> pd.DataFrame:
    names = {c.raw_name: c.name for c in problem.columns}
    text = sample[list(names)].set_axis(list(names.values()), axis=1)
    table, _ = validate(text, (*problem.features, problem.target))
    table = table.drop_duplicates()
    groups = table.groupby(list(problem.names), dropna=False).ngroup()
    if groups.nunique() < MIN_GROUPS:
        found = f"{groups.nunique()} different {problem.items}"
        raise UserError(problem.raw_file, f"found {found}; expected {MIN_GROUPS} or more")
    return table.assign(**{GROUP: groups})


def _example(problem: Problem, table: pd.DataFrame) -> dict[str, str]:
    """The case whose target is nearest to the median, among those without a blank cell."""
    complete = table.dropna(subset=list(problem.names))
    target = (complete if len(complete) else table)[problem.target.name]
    (row,) = records(table.loc[[(target - target.median()).abs().idxmin()]], problem.names)
    columns = {column.name: column for column in problem.features}
    return {n: columns[n].spell(v) for n, v in row.items() if v is not None}


def _write(paths: Mapping[Path, str], raw: Path, source: Path, opened: Source) -> None:
    for path in raw.parent.glob("*.csv"):
        if path.resolve() != source.resolve():
            path.unlink()
    if opened.notes:
        opened.write(raw)
    elif raw.resolve() != source.resolve():
        with atomic_path(raw) as part:
            shutil.copyfile(source, part)
    for path, content in paths.items():
        write_text(path, content)
