"""A file is written whole or not at all."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from laptop_pricing.files import atomic_path, checksum, short, write_json, write_text

OLD = b"old content"


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "folder" / "file.txt"
    path.parent.mkdir()
    path.write_bytes(OLD)
    return path


def _files(folder):
    return sorted(path.name for path in Path(folder).rglob("*") if path.is_file())


def test_the_new_file_takes_the_place_of_the_old_one(target):
    with atomic_path(target) as part:
        part.write_bytes(b"new")
        assert target.read_bytes() == OLD
    assert target.read_bytes() == b"new"
    assert _files(target.parent) == [target.name]


def test_an_error_leaves_the_old_file_and_nothing_else(target):
    with pytest.raises(KeyboardInterrupt):
        with atomic_path(target) as part:
            part.write_bytes(b"half of the n")
            raise KeyboardInterrupt
    assert target.read_bytes() == OLD
    assert _files(target.parent) == [target.name]


def test_missing_folders_are_made(tmp_path):
    target = tmp_path / "a" / "b" / "file.txt"
    with atomic_path(target, folder=tmp_path / "c") as part:
        assert part.parent == tmp_path / "c"
        part.write_bytes(b"new")
    assert target.read_bytes() == b"new"
    assert _files(tmp_path) == ["file.txt"]


def test_an_error_before_anything_is_written_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with atomic_path(tmp_path / "file.txt"):
            1 / 0
    assert _files(tmp_path) == []


def test_a_killed_process_leaves_the_old_file(target):
    program = (
        "import sys, time; from pathlib import Path\n"
        "from laptop_pricing.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as part:\n"
        "    part.write_bytes(b'half of the n'); print('written', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline().strip() == b"written"
        finally:
            process.kill()
    assert target.read_bytes() == OLD

    write_text(target, "new")
    assert target.read_bytes() == b"new"


def test_text_is_utf8_with_the_same_line_ends_everywhere(target):
    write_text(target, "preço\nnovo\n")
    assert target.read_bytes() == b"pre\xc3\xa7o\nnovo\n"


def test_json_is_readable_and_ends_with_a_line_end(target):
    write_json(target, {"maçã": [1, 2.5, None]})
    assert target.read_text(encoding="utf-8") == (
        '{\n  "maçã": [\n    1,\n    2.5,\n    null\n  ]\n}\n'
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_know_leaves_the_old_file(target, number):
    with pytest.raises(ValueError):
        write_json(target, {"R2": number})
    assert target.read_bytes() == OLD
    assert _files(target.parent) == [target.name]


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_checksum_covers_every_block(tmp_path, algorithm):
    content = os.urandom((1 << 20) + 17)
    path = tmp_path / "blob"
    path.write_bytes(content)
    assert checksum(path, algorithm) == hashlib.new(algorithm, content).hexdigest()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert checksum(path, algorithm) != hashlib.new(algorithm, content).hexdigest()


def test_known_checksum(tmp_path):
    path = tmp_path / "empty"
    path.touch()
    assert checksum(path, "md5") == "d41d8cd98f00b204e9800998ecf8427e"


def test_a_path_is_shown_as_the_user_would_type_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert short(tmp_path / "metrics.json") == "metrics.json"
