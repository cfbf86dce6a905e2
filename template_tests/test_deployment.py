"""What runs elsewhere: images, compose files and Kubernetes manifests, here and in a new project.

No image is built here: no registry is reached. The tools say whether the files fit their schemas.
"""

import re

import pytest
import yaml
from baking import bake, check, run
from environments import environment
from test_workflows import TOOLS

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("own_home")]

COMPOSE = ("compose.yaml", "compose.registry.yaml")
PINNED = re.compile(r"[\w/]+:[\w.-]+@sha256:[0-9a-f]{64}")
KUBERNETES = ("1.30", "1.37")  # the oldest that has a sleep before the end, the newest known here


@pytest.fixture(params=["root", "baked"])
def tree(request, snapshot, tmp_path):
    """The root, and a project that was made from it."""
    if request.param == "root":
        return snapshot
    return bake(snapshot, tmp_path, project_name="Bike fares")


@pytest.fixture(scope="module")
def validate():
    folder = environment("kubernetes", ["kubernetes-validate==1.37.0"])
    return folder / "kubernetes-validate"


def services(folder):
    """Each service of the compose files; variables are kept as they stand there."""
    files = [yaml.safe_load((folder / name).read_text("utf-8")) for name in COMPOSE]
    return {name: service for file in files for name, service in file["services"].items()}


def manifests(folder):
    text = (folder / "deploy" / "kubernetes" / "api.yaml").read_text("utf-8")
    return {part["kind"]: part for part in yaml.safe_load_all(text)}


def stages(folder):
    """The name of each stage of the Dockerfile, and its lines."""
    parts = re.split(r"^FROM ", (folder / "Dockerfile").read_text("utf-8"), flags=re.M)[1:]
    return {part.split("\n")[0].split(" AS ")[1]: part.splitlines() for part in parts}


def test_the_images_copy_what_is_there_and_run_as_nobody_in_particular(tree):
    kept = (tree / ".dockerignore").read_text("utf-8").splitlines()
    found = stages(tree)
    for name, (first, *lines) in found.items():
        source = first.split(" AS ")[0]
        assert source in found or PINNED.fullmatch(source), source
        for copied in (
            word for line in lines if line[:5] == "COPY " for word in line.split()[1:-1]
        ):
            assert f"!{copied.rstrip('*')}" in kept
            made_later = copied.startswith("models") or copied.endswith("*")
            assert made_later or (tree / copied).exists()
        if name != "base":
            rest = lines[lines.index("USER 10001") :]
            assert not any(line.startswith(("RUN", "COPY")) for line in rest)
            assert any(line.startswith("HEALTHCHECK") for line in rest)
            assert [line[:4] for line in rest if line and line[0] != "#"][-1] == "CMD "
    assert list(found)[-1] == "api"


def test_compose_fits_its_schema_and_locks_every_service(tree):
    tools = environment("workflows", TOOLS)
    options = ("--builtin-schema", "vendor.compose-spec")
    check(tree, tools / "check-jsonschema", *options, *COMPOSE)
    assert list(services(tree)) == ["api", "form", "mlflow", "postgres", "store"]
    for name, service in services(tree).items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        if "build" in service:
            assert service["build"]["target"] in stages(tree)
        else:
            assert PINNED.fullmatch(service["image"]) and service["user"] and service["healthcheck"]
        for variable, value in service.get("environment", {}).items():
            if re.search("KEY$|PASSWORD", variable) and not variable.endswith("KEY_ID"):
                assert re.fullmatch(r"\$\{\w+:(-|\?set it in \.env)\}", value), variable
    needed = set(re.findall(r"\{(\w+):\?", (tree / COMPOSE[1]).read_text("utf-8")))
    assert needed <= set(re.findall(r"^# (\w+)=", (tree / ".env.example").read_text(), re.M))


def test_kubernetes_accepts_the_manifests(tree, validate):
    for version in KUBERNETES:
        command = (validate, "--strict", "-k", version, "deploy/kubernetes/api.yaml")
        assert check(tree, *command).count(" passed for resource ") == 4


def test_a_manifest_that_kubernetes_would_refuse_is_found(snapshot, validate, tmp_path):
    text = (snapshot / "deploy" / "kubernetes" / "api.yaml").read_text("utf-8")
    assert text.count("readOnlyRootFilesystem") == 1
    (tmp_path / "api.yaml").write_text(text.replace("readOnlyRoot", "readOnlyRooot"), "utf-8")
    done = run(tmp_path, validate, "--strict", "api.yaml")
    assert done.returncode != 0 and "readOnlyRooot" in done.stdout + done.stderr


def test_the_pods_keep_to_the_restricted_profile_and_to_what_the_server_promises(tree):
    found = manifests(tree)
    pod = found["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    wait = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= wait + 10  # the server ends within ten
    asked = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("liveness", "readiness")
    }
    assert asked == {"liveness": "/healthz", "readiness": "/readyz"}
    assert found["HorizontalPodAutoscaler"]["spec"]["minReplicas"] == 2
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"] == labels
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    api = services(tree)["api"]
    assert mounted == {volume.partition(":")[2] for volume in api["volumes"]} | set(api["tmpfs"])


def test_the_kustomization_names_what_is_there(tree):
    folder = tree / "deploy" / "kubernetes"
    content = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    assert content["resources"] == [p.name for p in folder.iterdir() if p.stem != "kustomization"]
    (image,) = content["images"]
    pod = manifests(tree)["Deployment"]["spec"]["template"]["spec"]
    assert image["name"] == pod["containers"][0]["image"]
