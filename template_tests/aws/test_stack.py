"""The stack of references/aws: what it makes, whom it lets do what, and that this is enough."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from environments import ROOT
from iam_policy import allowed
from s3_gateway import Request
from stack_template import ADMIN_KEY, GIVEN, PROVIDER, REGION, STACK, resources

from laptop_pricing.kit.data.ingest import ingest
from laptop_pricing.kit.data.sample import write_sample
from laptop_pricing.kit.errors import DataUnavailable
from laptop_pricing.kit.files import checksum
from laptop_pricing.kit.project import Project
from laptop_pricing.model import build_model
from laptop_pricing.problem import PROBLEM

pytestmark = [pytest.mark.services, pytest.mark.slow]

BUCKET = GIVEN["BucketName"]
ARN = f"arn:aws:s3:::{BUCKET}"
README = STACK.with_name("README.md")
GUIDE = ROOT / "docs" / "s3.md"


def _stack(**given):
    return resources(STACK.read_text(encoding="utf-8"), {**GIVEN, **given})


# What it makes


def test_the_stack_passes_cfn_lint(tools):
    command = [tools / "cfn-lint", STACK, "--regions", "us-east-1", "sa-east-1", "eu-central-1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_bucket_is_private_encrypted_versioned_and_outlives_the_stack(declared):
    bucket = declared["Bucket"]["Properties"]
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    for name in ("Bucket", "BucketPolicy", "GitHub"):
        assert declared[name]["DeletionPolicy"] == "Retain"
        assert declared[name]["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("given, days", [({}, 90), ({"NoncurrentDays": "30"}, "30")])
def test_old_versions_and_broken_uploads_are_cleared_and_nothing_else(given, days):
    rules = _stack(**given)["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    uploads, versions = rules
    assert uploads["Status"] == versions["Status"] == "Enabled"
    assert uploads["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert versions["NoncurrentVersionExpiration"] == {"NoncurrentDays": days}
    assert not any(name.startswith("Expiration") for rule in rules for name in rule)


def test_the_outputs_say_how_to_connect(outputs):
    assert (
        outputs["Connect"] == f"laptop-pricing connect s3 {BUCKET} --prefix dvc --profile PROFILE"
    )


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        pytest.param({}, set(), id="GitHub, first in its account"),
        pytest.param({"GitHubProvider": "existing"}, {"GitHub"}, id="GitHub, provider is there"),
        pytest.param({"GitHubRepository": ""}, {"GitHub", "GitHubRole"}, id="without GitHub"),
    ],
)
def test_what_concerns_github_is_made_where_it_is_wanted(given, missing):
    everything = {"Bucket", "BucketPolicy", "StoragePolicy", "Team", "GitHub", "GitHubRole"}
    made = _stack(**given)
    assert set(made) == everything - missing
    if "GitHubRole" in made:
        (statement,) = _trust(made)["Statement"]
        assert statement["Principal"] == {"Federated": PROVIDER}


# Who may do what, by the documents


def _trust(declared):
    return declared["GitHubRole"]["Properties"]["AssumeRolePolicyDocument"]


OVER_TLS = {"aws:SecureTransport": "true"}
IN_THE_CLEAR = {"aws:SecureTransport": "false"}
STORED = "dvc/files/md5/01/193678befc0bc2a5b26de8d63ef72c"

ALLOWED = [
    ("s3:ListBucket", ARN, {"s3:prefix": "dvc/"}),
    ("s3:ListBucket", ARN, {"s3:prefix": "dvc/files/md5/"}),
    ("s3:ListBucket", ARN, {"s3:prefix": "dataset/"}),
    ("s3:GetObject", f"{ARN}/{STORED}", {}),
    ("s3:PutObject", f"{ARN}/{STORED}", {}),
    ("s3:DeleteObject", f"{ARN}/{STORED}", {}),
    ("s3:AbortMultipartUpload", f"{ARN}/{STORED}", {}),
    ("s3:GetObject", f"{ARN}/dataset/laptops.csv", {}),
    ("s3:PutObject", f"{ARN}/dataset/laptops.csv", {}),
    ("s3:AbortMultipartUpload", f"{ARN}/dataset/laptops.csv", {}),
]
DENIED = [
    ("s3:ListBucket", ARN, {}),
    ("s3:ListBucket", ARN, {"s3:prefix": ""}),
    ("s3:ListBucket", ARN, {"s3:prefix": "d"}),
    ("s3:ListBucket", ARN, {"s3:prefix": "dvc"}),
    ("s3:ListBucket", ARN, {"s3:prefix": "dvc-of-others/"}),
    ("s3:ListBucket", ARN, {"s3:prefix": "private/"}),
    ("s3:ListBucket", "arn:aws:s3:::other-bucket", {"s3:prefix": "dvc/"}),
    ("s3:ListBucket", f"{ARN}-2", {"s3:prefix": "dvc/"}),
    ("s3:ListAllMyBuckets", "*", {}),
    ("s3:ListBucketVersions", ARN, {"s3:prefix": "dvc/"}),
    ("s3:GetObject", f"{ARN}/private/salaries.csv", {}),
    ("s3:GetObject", f"{ARN}/dvc", {}),
    ("s3:GetObject", f"{ARN}/dvc-of-others/x", {}),
    ("s3:GetObject", f"arn:aws:s3:::other-bucket/{STORED}", {}),
    ("s3:GetObjectVersion", f"{ARN}/{STORED}", {}),
    ("s3:PutObject", f"{ARN}/private/x", {}),
    ("s3:PutObjectAcl", f"{ARN}/{STORED}", {}),
    ("s3:DeleteObject", f"{ARN}/dataset/laptops.csv", {}),
    ("s3:DeleteObject", f"{ARN}/private/x", {}),
    ("s3:DeleteObjectVersion", f"{ARN}/{STORED}", {}),
    ("s3:DeleteBucket", ARN, {}),
    ("s3:PutBucketPolicy", ARN, {}),
    ("s3:DeleteBucketPolicy", ARN, {}),
    ("s3:PutBucketVersioning", ARN, {}),
    ("s3:PutLifecycleConfiguration", ARN, {}),
    ("s3:PutBucketPublicAccessBlock", ARN, {}),
    ("iam:CreateAccessKey", "arn:aws:iam::123456789012:user/ana", {}),
    ("iam:AttachUserPolicy", "arn:aws:iam::123456789012:user/ana", {}),
    ("sts:AssumeRole", "arn:aws:iam::123456789012:role/laptop-pricing-github", {}),
    ("cloudformation:DeleteStack", "*", {}),
    ("ec2:RunInstances", "*", {}),
]


@pytest.fixture
def bucket_policy(declared):
    return declared["BucketPolicy"]["Properties"]["PolicyDocument"]


def test_members_and_github_have_the_storage_policy_and_no_other(admin, declared, outputs):
    iam, expected = admin("iam"), [outputs["PolicyArn"]]
    team = declared["Team"]["Properties"]["GroupName"]
    role = declared["GitHubRole"]["Properties"]["RoleName"]
    for answer in (
        iam.list_attached_group_policies(GroupName=team),
        iam.list_attached_role_policies(RoleName=role),
    ):
        assert [policy["PolicyArn"] for policy in answer["AttachedPolicies"]] == expected


@pytest.mark.parametrize(("action", "resource", "context"), ALLOWED)
def test_allowed_with_the_policy_and_over_tls_only(
    storage_policy, bucket_policy, action, resource, context
):
    both = [storage_policy, bucket_policy]
    assert allowed(both, action, resource, context | OVER_TLS)
    assert not allowed(both, action, resource, context | IN_THE_CLEAR)
    assert not allowed([bucket_policy], action, resource, context | OVER_TLS)


@pytest.mark.parametrize(("action", "resource", "context"), DENIED)
def test_denied(storage_policy, bucket_policy, action, resource, context):
    assert not allowed([storage_policy, bucket_policy], action, resource, context | OVER_TLS)


def test_not_even_an_administrator_is_allowed_without_tls(bucket_policy):
    everything = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    for resource in (ARN, f"{ARN}/{STORED}"):
        assert allowed([everything, bucket_policy], "s3:GetObject", resource, OVER_TLS)
        assert not allowed([everything, bucket_policy], "s3:GetObject", resource, IN_THE_CLEAR)


# Which workflow gets the role

TOKEN = "token.actions.githubusercontent.com"
REPOSITORY = GIVEN["GitHubRepository"]


def _gets_the_role(trust, subject, audience="sts.amazonaws.com", provider=PROVIDER):
    claims = {f"{TOKEN}:sub": subject, f"{TOKEN}:aud": audience}
    action = "sts:AssumeRoleWithWebIdentity"
    return allowed([trust], action, context=claims, principal=provider)


@pytest.fixture(scope="session")
def trust(admin, outputs):
    """Who may take GitHub's role, as AWS holds it."""
    name = outputs["RoleArn"].rpartition("/")[2]
    return admin("iam").get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]


@pytest.mark.parametrize(
    "where",
    ["ref:refs/heads/devl", "ref:refs/heads/stag", "ref:refs/heads/main", "pull_request"],
)
def test_workflows_of_the_branches_and_of_pull_requests_get_the_role(trust, where):
    assert _gets_the_role(trust, f"repo:{REPOSITORY}:{where}")


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param(f"repo:{REPOSITORY}:ref:refs/heads/feature", id="another branch"),
        pytest.param(f"repo:{REPOSITORY}:ref:refs/heads/main2", id="a name that begins alike"),
        pytest.param(f"repo:{REPOSITORY}:ref:refs/tags/main", id="a tag"),
        pytest.param(f"repo:{REPOSITORY}:environment:main", id="an environment"),
        pytest.param("repo:octo/project:ref:refs/heads/main", id="the same names without ids"),
        pytest.param("repo:octo@12/project@999:ref:refs/heads/main", id="made again by that name"),
        pytest.param("repo:octo@12/other@346:ref:refs/heads/main", id="another repository"),
        pytest.param("repo:evil@13/project@345:ref:refs/heads/main", id="another owner"),
        pytest.param("", id="no subject"),
    ],
)
def test_no_other_workflow_gets_the_role(trust, subject):
    assert not _gets_the_role(trust, subject)


def test_a_token_for_or_of_another_service_does_not_get_the_role(trust):
    subject = f"repo:{REPOSITORY}:ref:refs/heads/main"
    assert not _gets_the_role(trust, subject, audience="https://github.com/octo")
    assert not _gets_the_role(trust, subject, provider=f"{PROVIDER}.evil.example")


def test_an_old_repository_is_trusted_by_its_names():
    old = _trust(_stack(GitHubRepository="octo/project"))
    assert _gets_the_role(old, "repo:octo/project:ref:refs/heads/main")
    assert not _gets_the_role(old, f"repo:{REPOSITORY}:ref:refs/heads/main")


# Who may do what, by a server that checks keys, signatures, actions and resources


def _client(keys, address, service="s3"):
    return boto3.Session(region_name=REGION, **keys).client(service, endpoint_url=address)


def _refused(call, *args, **kwargs):
    with pytest.raises(ClientError) as error:
        call(*args, **kwargs)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return error.value.response["Error"]["Code"]


@pytest.fixture(params=["member", "github_role"])
def s3(request, moto):
    """An S3 client with the keys of a member, then with those of GitHub's role."""
    return _client(request.getfixturevalue(request.param), moto)


def test_the_server_lets_work_in_the_two_folders_and_delete_in_that_of_dvc(s3, enforced):
    for key in ("dataset/a.csv", "dvc/files/md5/ab/cd"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"a,b\n")
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"a,b\n"
        assert s3.list_objects_v2(Bucket=BUCKET, Prefix=key)["KeyCount"] == 1
    s3.delete_object(Bucket=BUCKET, Key="dvc/files/md5/ab/cd")
    _refused(s3.delete_object, Bucket=BUCKET, Key="dataset/a.csv")


def test_the_server_refuses_everything_else(s3, member, moto, enforced):
    for call, given in (
        (s3.put_object, {"Key": "private/x", "Body": b""}),
        (s3.get_object, {"Key": "private/x"}),
        (s3.get_object, {"Key": "dvcx"}),
        (s3.list_object_versions, {}),
        (s3.put_bucket_versioning, {"VersioningConfiguration": {}}),
        (s3.delete_bucket_policy, {}),
        (s3.delete_bucket, {}),
    ):
        _refused(call, Bucket=BUCKET, **given)
    _refused(s3.list_buckets)
    iam = _client(member, moto, "iam")
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    assert _refused(iam.attach_user_policy, UserName="ana", PolicyArn=arn) == "AccessDenied"
    wrong = {**member, "aws_secret_access_key": "hunter2"}
    code = _refused(_client(wrong, moto).get_object, Bucket=BUCKET, Key="dvc/x")
    assert code == "SignatureDoesNotMatch"


def test_what_a_member_deletes_can_be_brought_back(member, moto, admin):
    s3 = _client(member, moto)
    s3.put_object(Bucket=BUCKET, Key="dvc/precious", Body=b"model")
    s3.delete_object(Bucket=BUCKET, Key="dvc/precious")
    found = admin("s3").list_object_versions(Bucket=BUCKET, Prefix="dvc/precious")
    (marker,) = found["DeleteMarkers"]
    admin("s3").delete_object(Bucket=BUCKET, Key="dvc/precious", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket=BUCKET, Key="dvc/precious")["Body"].read() == b"model"


# Conditions too: the gateway asks the documents about each real request


def test_the_gateway_lists_the_two_folders_only_and_over_tls(gateway, member):
    s3 = _client(member, gateway.address)
    for prefix in ("dvc/", "dvc/files/md5/0", "dataset/"):
        s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    for prefix in ("", "d", "private/"):
        _refused(s3.list_objects_v2, Bucket=BUCKET, Prefix=prefix)
    _refused(s3.list_objects_v2, Bucket=BUCKET)
    _refused(s3.head_bucket, Bucket=BUCKET)
    with pytest.raises(ClientError, match="404"):  # told only where it may be listed
        s3.head_object(Bucket=BUCKET, Key="dvc/missing")
    _refused(s3.head_object, Bucket=BUCKET, Key="private/missing")
    s3.put_object(Bucket=BUCKET, Key="dvc/tls", Body=b"")
    gateway.secure = False
    _refused(s3.get_object, Bucket=BUCKET, Key="dvc/tls")


# It is enough for the project


@pytest.fixture
def raw_csv(tmp_path):
    path = tmp_path / "laptops.csv"
    write_sample(PROBLEM, path, 60)
    return path


@pytest.fixture
def project(tmp_path, params):
    return Project(PROBLEM, build_model, tmp_path / "project", given_params=params)


@pytest.mark.parametrize("who", ["member", "github_role"])
def test_ingest_with_a_profile(
    request, who, project, raw_csv, profile, gateway, enforced, monkeypatch
):
    keys = request.getfixturevalue(who)
    name = profile(keys, gateway.address)
    _client(keys, gateway.address).upload_file(str(raw_csv), BUCKET, "dataset/laptops.csv")
    monkeypatch.setenv("AWS_PROFILE", name)
    found = ingest(project, f"s3://{BUCKET}/dataset/laptops.csv")
    assert found["rows"] == 60
    assert project.raw.read_bytes() == raw_csv.read_bytes()


def test_ingest_from_elsewhere_is_refused(
    project, raw_csv, profile, gateway, admin, member, monkeypatch
):
    admin("s3").upload_file(str(raw_csv), BUCKET, "private/laptops.csv")
    monkeypatch.setenv("AWS_PROFILE", profile(member, gateway.address))
    with pytest.raises(DataUnavailable, match="not readable: access Denied"):
        ingest(project, f"s3://{BUCKET}/private/laptops.csv")
    assert not project.raw.exists()


def _run(command, folder, works=True):
    """Run a command of the project's environment; its output."""
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    environment = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", "HOME": str(folder)}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "DVC_SITE_CACHE_DIR": str(folder / ".site")}
    done = subprocess.run(
        shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True
    )
    output = done.stdout + done.stderr
    assert (done.returncode == 0) == works, f"{command}\n{output}"
    return output


@pytest.fixture
def repository(tmp_path, raw_csv):
    """A DVC project whose remote is in the bucket, with one file and one folder under DVC."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    shutil.copyfile(raw_csv, folder / "data" / "laptops.csv")
    (folder / "many").mkdir()
    for number in range(40):
        (folder / "many" / f"{number}.txt").write_text(f"file {number}\n")
    (folder / ".dvc").mkdir()
    _connect(folder, "dvc")
    _run("dvc add -q data/laptops.csv many", folder)
    return folder


def _connect(folder, prefix):
    """Write what `laptop-pricing connect s3` writes, for a folder that is no Git repository."""
    section = "['remote \"storage\"']\n"
    remote = f"url = s3://{BUCKET}/{prefix}\nverify = true\nconnect_timeout = 8\nread_timeout = 8\n"
    shared = f"[core]\nremote = storage\nno_scm = true\n{section}{remote}"
    (folder / ".dvc" / "config").write_text(shared)
    (folder / ".dvc" / "config.local").write_text(f"{section}profile = ana\n")


def _forget(folder):
    """What a second member has after `git clone`: the pointers, no data and no cache."""
    shutil.rmtree(folder / ".dvc" / "cache")
    shutil.rmtree(folder / ".dvc" / "tmp", ignore_errors=True)
    shutil.rmtree(folder / ".site", ignore_errors=True)
    shutil.rmtree(folder / "many")
    (folder / "data" / "laptops.csv").unlink()


def test_dvc_pushes_and_pulls_for_a_member(repository, raw_csv, profile, gateway, member, enforced):
    profile(member, gateway.address)
    _push_and_pull(repository, raw_csv, gateway)


def test_dvc_pushes_and_pulls_for_github(
    repository, raw_csv, gateway, github_role, enforced, monkeypatch
):
    (repository / ".dvc" / "config.local").unlink()  # as in a clone
    for name, value in github_role.items():
        monkeypatch.setenv(name.upper(), value)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL", gateway.address)
    _push_and_pull(repository, raw_csv, gateway)


@pytest.mark.parametrize("prefix, works", [("dvc", True), ("elsewhere", False)])
def test_connect_needs_no_more_than_these_rights(
    tmp_path, profile, gateway, member, enforced, prefix, works
):
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text("[core]\nno_scm = true\n")
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    profile(member, gateway.address)
    command = f"laptop-pricing connect s3 {BUCKET} --prefix {prefix} --profile ana"
    said = _run(command, folder, works)
    assert ("reachable and writable" if works else "access denied: nothing was changed") in said
    assert ("storage" in (folder / ".dvc" / "config").read_text()) == works


def _push_and_pull(folder, raw_csv, gateway):
    _run("dvc push", folder)
    assert "in sync" in _run("dvc status -c", folder)
    _forget(folder)
    _run("dvc pull", folder)
    assert (folder / "data" / "laptops.csv").read_bytes() == raw_csv.read_bytes()
    assert (folder / "many" / "39.txt").read_text() == "file 39\n"
    refused = {request for request in gateway.seen if not request.allowed}
    # s3fs asks for the bucket as such, only to learn its region.
    assert refused <= {Request("s3:ListBucket", ARN, None, False)}


def test_dvc_uploads_in_parts_and_removes_what_is_no_longer_used(
    repository, raw_csv, profile, gateway, member, admin
):
    with open(repository / "large.bin", "wb") as file:
        file.truncate(101 << 20)  # s3fs sends up to 100 MiB at once
    _run("dvc add -q large.bin", repository)
    profile(member, gateway.address)
    _run("dvc push large.bin.dvc", repository)
    assert len([request for request in gateway.seen if request.action == "s3:PutObject"]) > 2
    _run("dvc push", repository)
    stored, kept = _stored(admin), _address(repository / "many" / "39.txt")
    assert {_address(raw_csv), kept} <= stored
    _run("dvc remove data/laptops.csv.dvc", repository)
    _run("dvc gc --workspace --cloud --force", repository)
    assert _address(raw_csv) not in _stored(admin)
    assert kept in _stored(admin)


def _stored(admin):
    found = admin("s3").list_objects_v2(Bucket=BUCKET, Prefix="dvc/files/")
    return {entry["Key"] for entry in found["Contents"]}


def _address(path):
    """Where DVC's store has the content of a file."""
    md5 = checksum(path, "md5")
    return f"dvc/files/md5/{md5[:2]}/{md5[2:]}"


# The documented commands


def _commands(page):
    """The lines of the page's bash blocks."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return "".join(blocks).splitlines()


def test_the_commands_of_the_readme_work_in_their_order(tools, fresh_moto, tmp_path, raw_csv):
    """They are run as written, but for the id of a key that is made on the way."""
    paths = [str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {**os.environ, "PATH": os.pathsep.join(paths), "HOME": str(tmp_path)}
    environment |= {"AWS_ENDPOINT_URL": fresh_moto, "AWS_DEFAULT_REGION": REGION}
    environment |= {name.upper(): value for name, value in ADMIN_KEY.items()}
    shutil.copyfile(raw_csv, tmp_path / "laptop-price-brl.csv")
    (tmp_path / "references" / "aws").mkdir(parents=True)
    shutil.copyfile(STACK, tmp_path / "references" / "aws" / "stack.yaml")
    iam, s3 = (_client(ADMIN_KEY, fresh_moto, service) for service in ("iam", "s3"))
    commands = _commands(README)
    assert len(commands) > 12
    printed = ""
    for command in commands:
        if "add-user-to-group" in command:  # moto's CloudFormation makes no groups
            iam.create_group(GroupName="laptop-pricing-team")
        if "OLD_KEY_ID" in command:
            old = iam.list_access_keys(UserName="ana")["AccessKeyMetadata"][0]["AccessKeyId"]
            command = command.replace("OLD_KEY_ID", old)
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        printed += done.stdout
    assert re.search(r"\d laptop-price-brl\.csv$", printed, re.M)  # the list of the folder
    assert not s3.list_buckets()["Buckets"]
    assert not iam.list_users()["Users"]


def test_the_guide_has_the_commands_of_the_readme():
    administrator = ("aws cloudformation", "aws iam", "aws s3 cp")
    commands = [line for line in _commands(GUIDE) if line.startswith(administrator)]
    assert len(commands) == 6
    assert set(commands) <= set(_commands(README))


def test_the_policy_in_the_guide_is_that_of_the_stack(storage_policy):
    (block,) = re.findall(r"^```json\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    statements = [
        {name: value for name, value in statement.items() if name != "Sid"}
        for statement in storage_policy["Statement"]
    ]
    assert json.loads(block)["Statement"] == statements


def test_the_remote_made_by_hand_is_the_one_that_was_tried(tmp_path):
    commands = [line for line in _commands(GUIDE) if line.startswith("dvc remote")]
    assert len(commands) == 5
    (tmp_path / ".dvc").mkdir()
    _connect(tmp_path, "dvc")
    tried = _settings(tmp_path)
    (tmp_path / ".dvc" / "config").write_text("[core]\nno_scm = true\n")
    (tmp_path / ".dvc" / "config.local").unlink()
    for command in commands:
        _run(command, tmp_path)
    assert _settings(tmp_path) == tried


def _settings(folder):
    files = [folder / ".dvc" / name for name in ("config", "config.local")]
    lines = [(path.name, line) for path in files for line in path.read_text().splitlines()]
    return {(name, line.strip()) for name, line in lines if line.strip()}
