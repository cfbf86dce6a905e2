"""Tables of classes, each adopted by a fresh project and run: how good, how sure, at what cost.

As ``tables.py`` does for numbers: the project's classifier stands beside scikit-learn's
LogisticRegression (on one-hot columns and standardised numbers) and HistGradientBoostingClassifier,
both with defaults, on the same folds. A second line per table compares the coverage of the 90 %
sets per class, the chances and the threshold with their targets, where a miss costs five times as
much as a false alarm. Takes about two minutes per table::

    pip install --no-deps ISLP palmerpenguins
    python benchmarks/classes.py

prints the tables, of which docs/other-tables.md shows a part. Names of tables may follow: then only
these are run.
"""

import json
import sys
import tempfile
from pathlib import Path

import tables

TABLES = {
    "penguins": ("palmerpenguins", "data/penguins.csv", "species", "penguin", None),
    "tumours": ("load_breast_cancer", "", "target", "tumour", None),
    "wines": ("load_wine", "", "target", "wine", None),
    "juice": ("ISLP", "data/OJ.csv", "Purchase", "purchase", None),
    "caravan": ("ISLP", "data/Caravan.csv", "Purchase", "customer", None),
    "defaults": ("ISLP", "data/Default.csv", "default", "customer", None),
}
MISS = 5  # what a miss costs, where a false alarm costs 1


def main():
    """Adopt and run each table; print its two lines of Markdown as they come."""
    tables.TABLES = TABLES
    heads = ("table", "classes", "rarest", "rows x columns", "model")
    heads += ("log loss: ours", "logistic", "HistGB", "ROC AUC: ours", "logistic", "HistGB")
    heads += ("better than logistic: log loss", "ROC AUC")
    second = ("table", "sets held, per class (target 90 %, margin)", "off by (chances)")
    second += ("threshold: ours, best", "cost per row: ours, best", "margin")
    promises = []
    print(tables.cells(heads))
    print(tables.cells(["---"] * len(heads)), flush=True)
    for name in sys.argv[1:] or TABLES:
        with tempfile.TemporaryDirectory() as folder:
            _, found = tables.adopt_and_run(name, Path(folder), __file__)
        print(tables.cells(_line(name, found)), flush=True)
        promises.append(_promises(name, found))
    for line in ([""], second, ["---"] * len(second), *promises):
        print(tables.cells(line) if len(line) > 1 else "")


def _line(name, found):
    figures = [
        f"{found[metric][model]:.3f}"
        for metric in ("log_loss", "ROC_AUC")
        for model in ("ours", "logistic", "boosted")
    ]
    loss, area = found["better"]["log_loss"], found["better"]["ROC_AUC"]
    return (
        *(name, found["classes"], f"{found['rarest']:.1%}"),
        *(f"{found['rows']:,} x {found['columns']}", found["model"], *figures),
        f"{loss['more']:+.3f} ± {loss['margin']:.3f}",
        f"{-area['more']:+.3f} ± {area['margin']:.3f}",
    )


def _promises(name, found):
    held = [f"{k} {v['coverage']:.1%} ± {v['margin']:.1%}" for k, v in found["held"].items()]
    cost, ways = found["decision"], ("-", "-", "-")
    if "threshold" in cost:
        ways = (
            f"{cost['threshold']:.0%}, {cost['best_threshold']:.0%}",
            f"{cost['cost']:.4f}, {cost['best_cost']:.4f}",
            f"{cost['margin']:.4f}",
        )
    return (name, ", ".join(held), f"{found['off']:.3f}", *ways)


def measure(name):
    """The figures of all models, over the folds of the project in this folder."""
    project, problem, kit = tables.opened(name)
    from sklearn.ensemble import HistGradientBoostingClassifier

    table, params = kit("modeling.train").read_processed(project)[0], project.params.train
    evaluate, task = kit("modeling.evaluate"), kit("modeling.task").task_of(problem)
    models = {"ours": project.model()} | evaluate.baselines(problem)
    models["boosted"] = HistGradientBoostingClassifier(random_state=0)
    done = {
        key: evaluate.cross_validate(entrant, problem, table, params, key)
        for key, entrant in models.items()
    }
    folds = {key: pair[0] for key, pair in done.items()}
    first, *_, last = problem.classes
    costs = {last: {first: MISS}} if len(problem.classes) == 2 else None
    costly = params.model_copy(update={"costs": costs})
    covered = task.covered(done["ours"][1], costly)
    measured = task.measured(covered, costly)
    settings = project.params.model
    kind = f"logistic, {settings['knots']} knots" if "knots" in settings else "boosted trees"
    kind = "logistic, straight lines" if settings.get("knots") == 2 else kind
    found = {m: {k: f[m].mean() for k, f in folds.items()} for m in ("log_loss", "ROC_AUC")}
    found["better"] = evaluate.against(problem, folds["ours"], folds["logistic"], params)
    found |= {"held": measured["classes"], "off": measured["calibration"]["error"]}
    found |= {"decision": measured["decision"], "classes": len(problem.classes)}
    found["rarest"] = min(line["share"] for line in measured["classes"].values())
    crossed = "".join(f", x {field}" for field in settings.get("crossed", ()))
    found |= {"rows": len(table), "columns": len(problem.features), "model": kind + crossed}
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2])
    else:
        main()
