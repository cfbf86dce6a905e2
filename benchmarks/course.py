"""The model's score on the course's split, in which many specifications are on both sides.

    python benchmarks/course.py

prints R2 and the errors. Compare them only with figures from the same split. Needs a processed
table (``laptop-pricing run``).
"""

import pandas as pd

from laptop_pricing.kit.data.table import features
from laptop_pricing.kit.modeling.evaluate import fit
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.project import open_project
from laptop_pricing.model import build_model
from laptop_pricing.problem import PROBLEM


def main():
    """Fit on one side of the split, score on the other."""
    project = open_project(PROBLEM, build_model)
    split = project.root / "template_tests" / "course_split.csv"
    side = pd.read_csv(split, index_col="row")["side"]
    table = read_processed(project)[0].join(side, how="inner")
    train, test = table[table["side"] == "train"], table[table["side"] == "test"]
    predicted = fit(project.model(), PROBLEM, train).predict(features(PROBLEM.features, test))
    print(task_of(PROBLEM).score(test[PROBLEM.target.name], predicted))


if __name__ == "__main__":
    main()
