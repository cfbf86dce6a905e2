"""What a team does after ``track``, as a program of its own: it runs where a client is installed.

Arguments: a run, a name for its model, a file for the dataset that is read back.
"""

import json
import sys

from laptop_pricing.kit.modeling.train import read_processed
from laptop_pricing.kit.project import open_project
from laptop_pricing.kit.tracking.datasets import load_dataset, register_dataset
from laptop_pricing.kit.tracking.registry import register, set_alias
from laptop_pricing.model import build_model
from laptop_pricing.problem import PROBLEM

run_id, name, file = sys.argv[1:]
project = open_project(PROBLEM, build_model)
versions = [register(project, run_id, name) for _ in range(2)]
set_alias(project, name, "champion", versions[0])

import mlflow.pyfunc  # noqa: E402  The kit must do without it being imported.

mlflow.set_tracking_uri(project.tracking_uri)
model = mlflow.pyfunc.load_model(f"models:/{name}@champion")
table, _ = read_processed(project)

entries = [register_dataset(project) for _ in range(2)]
project.raw.unlink()  # now only DVC has it
load_dataset(project).to_csv(file, index=False)

found = {
    "mlflow": mlflow.__version__,
    "versions": versions,
    "predictions": model.predict(table[list(PROBLEM.names)]).tolist(),
    "entries": [(entry.run_id, entry.new) for entry in entries],
}
print(json.dumps(found))
