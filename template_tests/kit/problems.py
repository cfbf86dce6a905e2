"""Four problems on which the kit is tested, and a project of each."""

import json

import pytest
from sklearn.datasets import load_diabetes

from laptop_pricing.kit.data.sample import write_sample
from laptop_pricing.kit.modeling.factor_ridge import FactorRidge
from laptop_pricing.kit.params import Params
from laptop_pricing.kit.problem import Problem, RowRule, among, category, flag, integer, number
from laptop_pricing.kit.project import PARAMS_FILE, Project
from laptop_pricing.model import build_model as build_laptops
from laptop_pricing.problem import PROBLEM as LAPTOPS

_HEATING = (("none", "stove", "central"), ("heat pump",))

# fmt: off
MADE = Problem(  # every kind of column, every kind of rule
    name="flat-rents",
    item="flat",
    items="flats",
    raw_file="flats.csv",
    bought=True,
    caveat="Nobody ever lived in these flats.",
    features=(
        category("district", "Part of the town", ("North", "Old town, west", "São Tomé", "East"),
                 raw_name="District"),
        category("heating", "How it is heated", sum(_HEATING, ()), ladders=_HEATING,
                 default="none"),
        category("view", "What the windows show", ("yard", "street", "sea"), monotonic=False,
                 ladders=(("yard", "street", "sea"),)),
        integer("rooms", "Rooms", "room", 1, 12, levels=(1, 2, 3, 4, 6)),
        integer("floor", "Floor, below 0 for a basement", "", -2, 40, raw_name="Floor No.",
                levels=(-1, 0, 1, 2, 4), words=(("Basement", -1), ("Ground floor", 0)),
                monotonic=False),
        number("coldest", "Coldest day of the year", "C", -40, 30, levels=(-20, -5.5, 0, 10),
               monotonic=False),
        number("damp", "Water that passes the walls", "m/s", 1e-9, 1e-3,
               levels=(1e-8, 1e-6, 0.0001), default=1e-6, monotonic=False),
        number("area", "Area", "m2", 8, 400),
        flag("lift", "Whether there is a lift", raw_name="Lift?"),
        flag("balcony", "Whether there is a balcony", default=False),
    ),
    target=number("rent", "Rent of a month", "EUR", 50, 9000, raw_name="Monthly rent"),
    late=(
        integer("applicants", "Who asked for it", "", 0, 500),
        number("deviation", "From the mean of the street", "%", -99, 99),
        category("agent", "Who let it", ("none", "a", "b")),
        flag("let", "Whether it was let"),
    ),
    rules=(
        RowRule("a basement has no balcony", lambda t: (t.floor >= 0) | (t.balcony < 1)),
        RowRule("East has no sea", lambda t: (t.district != "East") | (t.view != "sea")),
    ),
    warnings=(
        RowRule("a lift in a flat that needs none", lambda t: t.lift & (t.floor <= 0)),
        RowRule("a large flat with an old heating",
                lambda t: (t.rooms >= 6) & among(t.heating, ("none", "stove"))),
    ),
    late_warnings=(
        RowRule("let without an applicant", lambda t: t.let & (t.applicants == 0)),
    ),
    example={"district": "são tomé", "view": "street", "rooms": "3 rooms", "floor": "ground floor",
             "coldest": "-5.5", "damp": "1e-6", "area": "71.5", "lift": "no"},
    slice_by="district",
    bands=(0, 400, 800, 1600),
    words={"flat": "apartamento", "District": "Bairro", "district": "Bairro", "sea": "mar",
           "a basement has no balcony": "um porão não tenha varanda"},
)

DIABETES = Problem(  # scikit-learn's, as it is: numbers without levels, little to be learned
    name="diabetes",
    item="patient",
    items="patients",
    raw_file="diabetes.csv",
    features=(
        integer("age", "Age", "year", 1, 120),
        category("sex", "Sex, as coded", ("1", "2")),
        number("bmi", "Body mass index", "kg/m2", 10, 80, monotonic=False),
        number("bp", "Mean blood pressure", "mmHg", 30, 200, monotonic=False),
        *(number(f"s{i}", f"Blood serum {i}", "", 0.1, 600, monotonic=False) for i in range(1, 7)),
    ),
    target=number("target", "Progression in one year", "points", 10, 500),
    example={"age": "48", "sex": "1", "bmi": "25.7", "bp": "93", "s1": "186", "s2": "113",
             "s3": "48", "s4": "4", "s5": "4.6", "s6": "91"},
    slice_by="sex",
    bands=(0, 100, 200),
)
GAINS = Problem(  # a target around zero, to which the fields add; some cells are blank
    name="shop-gains",
    item="shop",
    items="shops",
    raw_file="shops.csv",
    errors="absolute",
    features=(
        category("street", "Where it lies", ("main", "side", "mall"), unknown=True),
        integer("staff", "People who work there", "", 1, 60),
        number("balance", "Money in the bank", "kEUR", -50, 50, monotonic=False,
               unknown=True),
        number("space", "Space for goods", "m2", 10, 900, levels=(10, 50, 200, 900), unknown=True),
        flag("parking", "Whether there is parking", unknown=True),
    ),
    target=number("gain", "Gain of a month", "kEUR", -20, 30),
    example={"street": "side", "staff": "4", "balance": "-2.5", "space": "75", "parking": "yes"},
    slice_by="street",
    bands=(-20, 0, 10),
)
# fmt: on

PROBLEMS = (LAPTOPS, DIABETES, MADE, GAINS)
each_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)

_MODEL = {
    LAPTOPS.name: {
        "crossed": ["processor_name"],
        "alphas": [2, 8],
        "inner_folds": 2,
        "knots": 5,
        "links": ["log"],
        "scoring": "neg_mean_absolute_percentage_error",
        "weighted": [True],
    },
    DIABETES.name: {"alpha": 8},
    MADE.name: {"alpha": 2},
    GAINS.name: {"alpha": 2},
}


def build_plain(problem, params):
    """The kit's own Ridge, its penalty given."""
    return FactorRidge(problem.features, alpha=params.model["alpha"], **suited(problem))


def suited(problem):
    """How a Ridge sums: it multiplies factors where errors are relative, else it adds terms."""
    return {"link": "log" if problem.relative else "identity", "weighted": problem.relative}


def make_params(problem=LAPTOPS, **changes):
    """Params that are quick, and criteria that any model meets; `changes` by section."""
    content = {
        "ingest": {"source": problem.raw_file, "timeout_s": 60},
        "preprocess": {"max_rejected": 0.05, "median_target": [-1e9, 1e9]},
        "train": {"folds": 3, "seeds": [0]},
        "model": _MODEL[problem.name],
        "criteria": {"R2": -1, problem.error_name: 100},
        "track": {"experiment": problem.name},
        "promote": {"tolerance": 0.005, "slice_tolerance": 0.02},
    }
    content |= {section: content[section] | values for section, values in changes.items()}
    return Params.model_validate_json(json.dumps(content))


def write_raw(problem, path, rows=400, seed=2025):
    """A raw file: scikit-learn's 442 patients, or `rows` made-up items."""
    if problem.name != DIABETES.name:
        return write_sample(problem, path, rows, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = load_diabetes(scaled=False, as_frame=True).frame
    table.astype({"age": int, "sex": int}).to_csv(path, index=False, lineterminator="\n")


def make_project(folder, problem=LAPTOPS, raw=True, build_model=None, **changes):
    """A project in a fresh folder: params.yaml (JSON is YAML), and raw data if `raw`."""
    params = make_params(problem, **changes)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PARAMS_FILE).write_text(params.model_dump_json(indent=2), encoding="utf-8")
    build_model = build_model or (build_laptops if problem is LAPTOPS else build_plain)
    project = Project(problem, build_model, folder, given_params=params)
    if raw:
        write_raw(problem, project.raw)
    return project
