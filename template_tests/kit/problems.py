"""Six problems on which the kit is tested, two of them of classes, and a project of each."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from laptop_pricing.kit.data.sample import write_sample
from laptop_pricing.kit.modeling.factor_logistic import FactorLogistic
from laptop_pricing.kit.modeling.factor_ridge import FactorRidge
from laptop_pricing.kit.modeling.task import task_of
from laptop_pricing.kit.params import Params
from laptop_pricing.kit.problem import Problem, RowRule, among, category, flag, integer, number
from laptop_pricing.kit.project import PARAMS_FILE, Project
from laptop_pricing.model import build_model as build_laptops
from laptop_pricing.problem import PROBLEM as LAPTOPS

_JOBS = (("none", "part-time", "full-time"), ("own firm",))
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
LOANS = Problem(  # two classes; steps up never lower the chance of the second; blank cells
    name="loan-risks",
    item="loan",
    items="loans",
    raw_file="loans.csv",
    caveat="No bank gave these loans.",
    features=(
        category("purpose", "What it is for", ("debts", "car", "São João"), unknown=True,
                 raw_name="Purpose"),
        category("job", "Job of who asks", sum(_JOBS, ()), ladders=_JOBS),
        integer("income", "Income of a month", "EUR", 0, 20_000, levels=(500, 1000, 2000, 8000)),
        number("amount", "Amount", "kEUR", 0.1, 90, monotonic=False, unknown=True),
        integer("years", "Years at this bank", "year", 0, 60),
        flag("guarantor", "Whether somebody vouches for it", unknown=True),
        flag("new", "Whether it is the first loan", default=True),
    ),
    target=flag("repaid", "Whether it is repaid", raw_name="Repaid?"),
    late=(integer("reminders", "How often we had to ask", "", 0, 30),),
    rules=(RowRule("a first loan is under 80 kEUR", lambda t: (t.new < 1) | ~(t.amount >= 80)),),
    warnings=(
        RowRule("no income, but a job",
                lambda t: (t.income <= 0) & among(t.job, ("part-time", "full-time"))),
    ),
    example={"purpose": "são joão", "job": "full-time", "income": "1800 EUR", "amount": "7.5",
             "years": "3"},
    slice_by="purpose",
    words={"loan": "empréstimo", "purpose": "Finalidade", "repaid": "pago", "debts": "dívidas"},
)
GRADES = Problem(  # three classes, and no field by which errors are reported
    name="exam-grades",
    item="student",
    items="students",
    raw_file="students.csv",
    features=(
        category("school", "School", ("north", "south", "east")),
        integer("hours", "Hours of study in a week", "hour", 0, 60, levels=(0, 5, 10, 20, 40)),
        number("mark", "Mean of the marks before", "", 0, 10),
        number("absent", "Days without the student", "day", 0, 90, monotonic=False),
        flag("tutor", "Whether there is a tutor"),
    ),
    target=category("grade", "Grade of the exam", ("fail", "pass", "with honours")),
    late=(integer("waited", "Days until it was known", "day", 1, 60),),
    example={"school": "south", "hours": "12", "mark": "6.5", "absent": "2", "tutor": "no"},
    slice_by="",
)
# fmt: on

NUMBERS, CLASSES = (LAPTOPS, DIABETES, MADE, GAINS), (LOANS, GRADES)
PROBLEMS = NUMBERS + CLASSES


def each(*problems):
    return pytest.mark.parametrize("problem", problems, ids=lambda problem: problem.name)


each_problem, each_number, each_class = each(*PROBLEMS), each(*NUMBERS), each(*CLASSES)

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
    LOANS.name: {"alpha": 2},
    GRADES.name: {"alpha": 2},
}


def build_plain(problem, params):
    """The kit's own model, its penalty given."""
    return plain(problem, alpha=params.model["alpha"])


def plain(problem, crossed=(), alpha=2):
    if problem.classes:
        return FactorLogistic(problem.features, crossed, alpha)
    return FactorRidge(problem.features, crossed, alpha, **suited(problem))


def suited(problem):
    """How a Ridge sums: it multiplies factors where errors are relative, else it adds terms."""
    return {"link": "log" if problem.relative else "identity", "weighted": problem.relative}


def led_to(found):
    """What the base and the effects of an explanation lead to."""
    base, effects, additive, _ = found
    return base + effects.sum(axis=1) if additive else base * effects.prod(axis=1)


def explained(found, outputs):
    """What they should lead to: the numbers, or the odds of one class against another."""
    if found.classes is None:
        return outputs
    rows, (one, other) = np.arange(len(outputs)), found.classes.T
    return outputs[rows, one] / outputs[rows, other]


def make_params(problem=LAPTOPS, **changes):
    """Params that are quick, and criteria that any model meets; `changes` by section."""
    task = task_of(problem)
    content = {
        "ingest": {"source": problem.raw_file, "timeout_s": 60},
        "preprocess": {"max_rejected": 0.05},
        "train": {"folds": 3, "seeds": [0]},
        "model": _MODEL[problem.name],
        "criteria": {task.score_name: 0 if problem.classes else -1, task.error_name: 100},
        "track": {"experiment": problem.name},
        "promote": {"tolerance": 0.005, "slice_tolerance": 0.02},
    }
    content |= {section: content.get(section, {}) | values for section, values in changes.items()}
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
