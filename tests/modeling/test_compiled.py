"""The compiled model is the fitted one, for one row and for many."""

import json

import numpy as np
import pytest

from laptop_pricing.errors import StepFailed
from laptop_pricing.modeling.bundle import COMPILED_FILE, load_bundle
from laptop_pricing.modeling.compiled import (
    CompiledModel,
    compile_model,
    prove_equal,
    random_rows,
)


def test_random_rows_have_the_same_price_in_every_way(trained):
    bundle, table = load_bundle(trained.models), random_rows(2_000, seed=3)
    rows = table.to_dict("records")
    expected = bundle.model.predict(table)
    explained, factors = bundle.compiled.explain(rows)
    ways = (
        bundle.compiled.prices(table),
        explained,
        bundle.compiled.base * factors.prod(axis=1),
    )
    for found in ways:
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(factors, bundle.compiled.factors(table), rtol=1e-12)


def test_the_file_holds_what_compiling_gives(trained):
    numbers = json.loads((trained.models / COMPILED_FILE).read_text(encoding="utf-8"))
    assert numbers == compile_model(load_bundle(trained.models).model)


@pytest.mark.parametrize("part", ["base", "offsets", "alone", "pairs"])
def test_the_proof_of_equality_can_fail(trained, part):
    model = load_bundle(trained.models).model
    numbers = compile_model(model)
    numbers[part] = (np.array(numbers[part]) * 1.0001).tolist()
    with pytest.raises(StepFailed, match="differs from the fitted one"):
        prove_equal(model, CompiledModel(numbers))
