"""What a team does after ``promote``, as a program of its own: it runs where a client is installed.

Argument: a file for the dataset that is read back.
"""

import json
import sys

from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.project import open_project
from laptop_pricing.kit.tracking.datasets import load_dataset, register_dataset
from laptop_pricing.model import build_model
from laptop_pricing.problem import PROBLEM

project = open_project(PROBLEM, build_model)
entries = [register_dataset(project) for _ in range(2)]

import mlflow.pyfunc  # noqa: E402  The kit must do without it being imported.

mlflow.set_tracking_uri(project.tracking_uri)
model = mlflow.pyfunc.load_model(f"models:/{project.name}@devl")
table, _ = read_processed(project)

project.raw.unlink()  # now only DVC has it
load_dataset(project).to_csv(sys.argv[1], index=False)

found = {
    "mlflow": mlflow.__version__,
    "predictions": model.predict(table[list(PROBLEM.names)]).tolist(),
    "entries": [(entry.run_id, entry.new) for entry in entries],
}
print(json.dumps(found))
