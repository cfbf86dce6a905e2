"""A bundle that was changed is refused, or served with prices that are numbers: never half."""

import hashlib
import json
import math
import os
import random
import shutil

import pytest
from fastapi.testclient import TestClient
from problems import MADE

from laptop_pricing.kit.errors import UserError
from laptop_pricing.kit.modeling.signature import sign, signature_file
from laptop_pricing.kit.serving.api import create_app
from laptop_pricing.kit.serving.served import Source

MUTATIONS = int(os.environ.get("MUTATIONS", "100"))
WORDS = (0, -1, 1e308, math.nan, math.inf, None, "", "x", [], {}, True, [1, 2, 3])


@pytest.fixture
def models(trained, tmp_path):
    return shutil.copytree(trained(MADE).models, tmp_path / "models")


def places(value, path=()):
    """The paths of all values in JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inside in items if isinstance(value, (dict, list)) else ():
        yield (*path, name)
        if isinstance(inside, (dict, list)):
            yield from places(inside, (*path, name))


def mutate(folder, dice):
    """Change one value of a bundle's files and make the checksums match."""
    files = {name: json.loads((folder / name).read_text("utf-8")) for name in NAMES}
    name = dice.choice(NAMES)
    *path, last = dice.choice(sorted(places(files[name]), key=str))
    inside = files[name]
    for step in path:
        inside = inside[step]
    old = inside[last]
    if isinstance(old, float) and dice.random() < 0.5:
        inside[last] = old * dice.choice((-1, 0, 1.5, 1e6))
    else:
        inside[last] = dice.choice(WORDS)
    for other in NAMES[1:]:
        (folder / other).write_text(json.dumps(files[other]), encoding="utf-8")
        if isinstance(files[NAMES[0]].get("files"), dict):
            content = (folder / other).read_bytes()
            files[NAMES[0]]["files"][other] = hashlib.sha256(content).hexdigest()
    (folder / NAMES[0]).write_text(json.dumps(files[NAMES[0]]), encoding="utf-8")
    return f"{name}: {path} {last}: {old!r} -> {inside[last]!r}"


NAMES = ("metadata.json", "model.json", "cases.json")


def test_a_changed_bundle_is_refused_in_one_line_or_gives_numbers(models, tmp_path):
    dice, example = random.Random(0), dict(MADE.example)
    refused = 0
    for number in range(MUTATIONS):
        folder = shutil.copytree(models, tmp_path / str(number))
        change = mutate(folder, dice)
        try:
            app = create_app(MADE, Source(MADE, folder).load())
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            client = TestClient(app, raise_server_exceptions=False)
            answer = client.post("/v1/quote?margin=0.1", json=example)
            assert answer.status_code == 200, change
            assert math.isfinite(answer.json()["prediction"]), change
        shutil.rmtree(folder)
    assert refused > MUTATIONS / 4


def test_where_the_team_has_a_key_only_its_own_bundles_are_served(models, monkeypatch):
    monkeypatch.setenv(MADE.signing_variable, "a secret of the team")
    with pytest.raises(UserError, match="is not signed"):
        Source(MADE, models).load()
    sign(MADE, models)
    source = Source(MADE, models)
    assert source.load()
    content = (models / "metadata.json").read_text("utf-8")
    (models / "metadata.json").write_text(content.replace("0.", "0.1", 1), encoding="utf-8")
    assert source.newer() is None
    with pytest.raises(UserError, match="another signature"):
        Source(MADE, models).load()
    (models / "metadata.json").write_text(content, encoding="utf-8")
    monkeypatch.setenv(MADE.signing_variable, "somebody else's")
    with pytest.raises(UserError, match="another signature"):
        Source(MADE, models).load()
    monkeypatch.delenv(MADE.signing_variable)
    assert Source(MADE, models).load()
    with pytest.raises(UserError, match="is not set"):
        sign(MADE, models)
    assert len(signature_file(models).read_text("utf-8")) == 65
