"""What a team does after ``track``, as a program of its own: it runs where a client is installed.

Arguments: a run, a name for its model, a file for the dataset that is read back.
"""

import json
import sys

from laptop_pricing.data.schema import FEATURES
from laptop_pricing.modeling.train import read_processed
from laptop_pricing.settings import PARAMS_FILE, find_workspace, load_params
from laptop_pricing.tracking.datasets import load_dataset, register_dataset
from laptop_pricing.tracking.registry import register, set_alias

run_id, name, file = sys.argv[1:]
workspace = find_workspace()
params = load_params(workspace.root / PARAMS_FILE)

versions = [register(workspace, run_id, name) for _ in range(2)]
set_alias(workspace, name, "champion", versions[0])

import mlflow.sklearn  # noqa: E402  The package must do without it being imported.

mlflow.set_tracking_uri(workspace.tracking_uri)
model = mlflow.sklearn.load_model(f"models:/{name}@champion")
table, _ = read_processed(workspace)

entries = [register_dataset(workspace, params) for _ in range(2)]
workspace.raw.unlink()  # now only DVC has it
load_dataset().to_csv(file, index=False)

found = {
    "mlflow": mlflow.__version__,
    "versions": versions,
    "prices": model.predict(table[list(FEATURES)]).tolist(),
    "entries": [(entry.run_id, entry.new) for entry in entries],
}
print(json.dumps(found))
