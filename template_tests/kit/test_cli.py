"""The command line as people meet it: what it says, its exit codes, and what Tab completes."""

import sys
from pathlib import Path

import pytest
from problems import MADE
from solo import call

from laptop_pricing.kit.data.source import read_csv

PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from problems import MADE, build_plain
from laptop_pricing.kit.cli import make_cli
if __name__ == "__main__":
    make_cli(MADE, build_plain)()
"""
BASH = r"""
eval "$(_LAPTOP_PRICING_COMPLETE=source_bash laptop-pricing)"
function=$(complete -p laptop-pricing | sed 's/.*-F \([^ ]*\).*/\1/')
COMP_WORDS=({words}) COMP_CWORD={place}
$function laptop-pricing
printf '%s\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def program(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    return tmp_path / "program.py"


@pytest.mark.parametrize("scheduler", ["", "local:2"])
def test_predict_writes_the_good_rows_and_names_the_bad_ones(trained, program, tmp_path, scheduler):
    project, rows = trained(MADE), read_csv(trained(MADE).raw)
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    options = {"SCHEDULER": scheduler} if scheduler else {}
    command = (sys.executable, program, "predict", source, "-o", target)
    rows.to_csv(source, index=False)
    done = call(project.root, *command, **options)
    assert done.returncode == 0 and f"{target}: 400 flats, median rent" in done.stdout
    rows.loc[[2, 398], "view"] = "moon"
    rows.to_csv(source, index=False)
    done = call(project.root, *command, **options)
    assert done.returncode == 2
    assert f"{target}: 398 of 400 rows predicted, 2 refused, median rent" in done.stdout
    for row in (3, 399):
        assert f"Warning: row {row}: view: found 'moon'; expected" in done.stderr
    last = done.stderr.splitlines()[-1]
    counts = "398 of 400 rows predicted, 2 refused"
    assert last == f"Error: {source}: {counts}; the column error of {target} says why"
    table = read_csv(target)
    bad = table["error"] != ""
    assert [*table.index[bad]] == [2, 398] and len(table) == 400
    assert (table["predicted_rent"] != "").equals(~bad)


@pytest.mark.skipif(sys.platform == "win32", reason="for bash")
@pytest.mark.parametrize(
    "typed, completed",
    [
        ("pre", ["predict", "preprocess"]),
        ("serve --po", ["--port"]),
        ("promote s", ["stag"]),
        ("connect d", ["dagshub"]),
    ],
)
def test_bash_completes_commands_and_options(tmp_path, typed, completed):
    words = f"laptop-pricing {typed}"
    script = BASH.format(words=words, place=len(words.split()) - 1)
    done = call(tmp_path, "bash", "-c", script)
    assert sorted(done.stdout.split()) == completed, done.stderr
