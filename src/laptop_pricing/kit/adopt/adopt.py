"""Take a table on as the project's own: look at it, choose what suits it, write, register."""

import difflib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Optional

import pandas as pd

from ..data.source import Source, open_source
from ..data.table import GROUP, KEY, records, validate
from ..errors import UserError
from ..files import atomic_path, render, short, write_text
from ..modeling.task import task_of
from ..modeling.train import MIN_GROUPS
from ..problem import Column, Problem, says_nothing
from ..process import git, run_dvc
from ..project import PARAMS_FILE, Project
from . import choose
from .leaks import find_class_leaks, find_leaks
from .look import Finding, look
from .survey import survey
from .target import Ask, as_target
from .words import pages
from .write import Choices, files

MOST_COLUMNS = 500
MARK = "The worked example"  # in the problem.py with which every project begins
_RESERVED = (GROUP, KEY, "row", "margin", "risk")


class Decision(NamedTuple):
    """What was decided about a table."""

    source: Path
    opened: Source
    problem: Problem
    findings: list[Finding]  # of each column
    notes: list[str]
    tried: list[choose.Choice]  # the models, the simplest first
    taken: choose.Choice
    trivial: float  # the error of the model that knows no feature, on the same rows
    texts: dict[str, str]  # of problem.py, params.yaml and maybe model.py


def decide(
    name: str,
    root: Path,
    source: Path,
    target: str,
    item: str = "",
    items: str = "",
    classes: Optional[bool] = None,
    say: Callable[[str], None] = print,
    ask: Ask = lambda question, likely: likely,
) -> Decision:
    """Look at a table, and decide what makes it the project `name`'s in the folder `root`.

    `classes` says whether the target is classes or numbers, where that is not to be found out. A
    UserError says what is wrong with the table. Nothing is written.
    """
    say(f"Looking at {short(source)}")
    opened = open_source(source)
    tallies, sample = survey(opened.blocks())
    target = _find(source, list(tallies), target)
    aim = tallies[target]
    notes = list(opened.notes)
    if aim.blank:
        notes.append(f"{aim.blank} rows have no {target}: they will be set aside")
    findings = look(tallies, _RESERVED, target)
    place = next(i for i, finding in enumerate(findings) if finding.raw_name == target)
    findings[place], note = as_target(source, findings[place], aim, classes, ask)
    notes += [note] if note else []
    sample = sample[~sample[target].map(says_nothing)]
    findings = _with_leaks(source, sample, findings, target)
    problem = _problem(name, source, findings, item, items)
    table = _typed(source, problem, sample)
    if equal := int(table.duplicated(GROUP, keep=False).sum()):
        said = f"{equal} of {len(table)} rows are equal to another in all features"
        notes.append(f"{said}: equal rows stay together in the folds")
    problem = choose.with_choices(problem, table)
    problem = replace(problem, example=_example(problem, table))
    say("Trying models")
    tried, trivial = choose.compare(problem, table)
    taken = choose.take(tried)
    target_values = task_of(problem).learned(table)
    choices = Choices(_relative(root, source), taken, target_values, trivial, aim.known)
    texts = files(problem, findings, choices)
    return Decision(source, opened, problem, findings, notes, tried, taken, trivial, texts)


def adopt(
    project: Project, half: Path, decision: Decision, dry_run: bool = False
) -> dict[Path, str]:
    """Write what was decided, and register the data: the texts by path, also of a dry run.

    `half` is the folder of problem.py. A UserError says that Git or DVC does not hold what would be
    replaced; then nothing is written.
    """
    problem = decision.problem
    folders = {PARAMS_FILE: project.root}
    texts = {folders.get(name, half) / name: text for name, text in decision.texts.items()}
    texts |= pages(project.root, project.problem, problem)
    pipeline = project.root / "dvc.yaml"
    before = pipeline.read_text(encoding="utf-8")
    plots = render("plots.jinja", problem=problem, task=task_of(problem))
    after = before.partition("\nplots:\n")[0] + "\n" + plots
    texts |= {pipeline: after} if after != before else {}
    _check_held(project, decision.source, list(texts))
    if not dry_run:
        raw = project.root / "data" / "raw" / problem.raw_file
        _write_raw(project, raw, decision.source, decision.opened)
        for path, text in texts.items():
            write_text(path, text)
        run_dvc(project, "commit", "-f", "-q", "data.dvc", capture=True)
    return texts


def check_first(project: Project, path: Path) -> None:
    """Whether problem.py still is the worked example's."""
    if MARK in path.read_text(encoding="utf-8"):
        return
    name = path.relative_to(project.root).as_posix()
    commit = git(project.root, "log", "-1", "--format=%h", f"-S{MARK}", "--", name)
    committed = MARK not in git(project.root, "show", f"HEAD:{name}")
    way = f"git restore --source={commit}~1 . and git commit" if committed else "git restore ."
    remedy = f"edit it; or to begin again, {way}"
    raise UserError(short(path), "describes a table of yours already", remedy)


def _check_held(project: Project, source: Path, paths: Sequence[Path]) -> None:
    """Whether Git has all that would be replaced, and DVC the data."""
    git(project.root, "rev-parse", "HEAD", problem="no commit to go back to: git commit first")
    problem = "is not committed, and adopt would replace it"
    changed = git(project.root, "status", "--porcelain", "-z", "--", *paths)
    if changed:
        name = changed.split("\0")[0].split(maxsplit=1)[1]
        raise UserError(name, problem, "git commit it, or git restore it")
    here = [path for path in project.raw.parent.glob("*") if path.is_file()]
    others = [path for path in here if path.resolve() != source.resolve()]
    if others and run_dvc(project, "status", "-q", "data.dvc", capture=True).returncode:
        raise UserError(short(others[0]), problem, "move it elsewhere")


def _find(source: Path, names: Sequence[str], target: str) -> str:
    """The name of the target as the file has it."""
    folded = {name.casefold(): name for name in names}
    if (wanted := target.strip().casefold()) not in folded:
        near = difflib.get_close_matches(wanted, folded, 1)
        hint = f"did you mean {folded[near[0]]}?" if near else ""
        raise UserError(source, f"no column {target}; expected one of {', '.join(names)}", hint)
    if len(names) < 2:
        raise UserError(source, "found one column; expected others to predict it from")
    if len(names) > MOST_COLUMNS:
        found = f"found {len(names):,} columns; expected {MOST_COLUMNS} or fewer"
        raise UserError(source, found, "keep those that are known when a prediction is asked for")
    return folded[wanted]


def _with_leaks(
    source: Path, sample: pd.DataFrame, findings: Sequence[Finding], target: str
) -> list[Finding]:
    """The findings, with what gives the target away called so."""
    numbers = {f.raw_name: _floats(sample[f.raw_name], f.column) for f in findings if f.column}
    aim = next(finding.column for finding in findings if finding.decision == "target")
    find = find_leaks if aim and aim.numeric else find_class_leaks
    leaks = find(pd.DataFrame(numbers).drop(columns=target), numbers[target])
    decided = []
    for finding in findings:
        if reason := leaks.get(finding.raw_name):
            check = "take it in if it is known when a prediction is asked for"
            finding = finding._replace(decision="late", why=reason, check=check)
        decided.append(finding)
    if not any(finding.decision == "feature" for finding in decided):
        reasons = "; ".join(f"{f.raw_name}: {f.why}" for f in decided if f.decision != "target")
        raise UserError(source, f"no column is left to predict {target} from ({reasons})")
    return decided


def _floats(cells: pd.Series, column: object) -> pd.Series:
    if isinstance(column, Column) and column.numeric:
        return pd.to_numeric(cells.mask(cells.map(says_nothing)), errors="coerce").astype(float)
    return pd.Series(pd.factorize(cells)[0], cells.index).astype(float)


def _problem(
    name: str, source: Path, findings: Sequence[Finding], item: str, items: str
) -> Problem:
    words = re.sub(r"[\W_]+", " ", source.stem).strip().lower()
    items = items or (_plural(item) if item else words if words.endswith("s") else "rows")
    item = item or (items[:-1] if items.endswith("s") else "row")
    columns = {d: [f.column for f in findings if f.decision == d] for d in ("feature", "late")}
    (target,) = (f.column for f in findings if f.decision == "target")
    return Problem(
        name=name,
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


def _plural(item: str) -> str:
    ending = re.sub("[aeiou]y$", "", item)[-2:]
    if ending[-1:] == "y":
        return f"{item[:-1]}ies"
    return f"{item}es" if ending in ("ch", "sh") or ending[-1:] in ("s", "x", "z") else f"{item}s"


def _typed(source: Path, problem: Problem, sample: pd.DataFrame) -> pd.DataFrame:
    """The sample as preprocess would clean it."""
    names = {c.raw_name: c.name for c in problem.columns}
    text = sample[list(names)].set_axis(list(names.values()), axis=1)
    table, _ = validate(text, (*problem.features, problem.target))
    table = table.drop_duplicates()
    groups = table.groupby(list(problem.names), dropna=False).ngroup()
    if groups.nunique() < MIN_GROUPS:
        found = f"{groups.nunique()} different {problem.items}"
        raise UserError(source, f"found {found}; expected {MIN_GROUPS} or more")
    return table.assign(**{GROUP: groups})


def _example(problem: Problem, table: pd.DataFrame) -> dict[str, str]:
    """The case whose target is nearest to the median, among those without a blank cell."""
    complete = table.dropna(subset=list(problem.names))
    target = task_of(problem).learned(complete if len(complete) else table)
    (row,) = records(table.loc[[(target - target.median()).abs().idxmin()]], problem.names)
    columns = {column.name: column for column in problem.features}
    return {n: columns[n].spell(v) for n, v in row.items() if v is not None}


def _relative(root: Path, source: Path) -> str:
    """The source as params.yaml names it: from the project's folder."""
    try:
        return Path(os.path.relpath(source, root)).as_posix()
    except ValueError:  # on another drive
        return source.resolve().as_posix()


def _write_raw(project: Project, raw: Path, source: Path, opened: Source) -> None:
    """The table as data/raw holds it: alone there, and byte for byte where it is a plain CSV."""
    if opened.notes:
        opened.write(raw)
    elif raw.resolve() != source.resolve():
        with atomic_path(raw, folder=project.interim) as part:
            shutil.copyfile(source, part)
    for path in raw.parent.glob("*.csv"):
        if path != raw:
            path.unlink()
