"""The stack of references/aws on a stand-in for AWS, its members, and a gateway before it."""

import contextlib
import json
import os
import urllib.request
from pathlib import Path

import boto3
import pytest
from environments import environment
from s3_gateway import gateway_to
from servers import free_port, running
from stack_template import ADMIN_KEY, GIVEN, PROVIDER, REGION, STACK, resources


@pytest.fixture(scope="session")
def tools():
    """The folder that holds moto_server, cfn-lint and aws."""
    return environment("aws", Path(__file__).with_name("requirements.txt"))


@contextlib.contextmanager
def _own_settings(folder):
    """The developer's own credentials and settings stay out."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AWS_", "DVC_", "MLFLOW_", "DAGSHUB_")):
                patch.delenv(name)
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            patch.setenv(name, str(folder / "none"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        patch.setattr("boto3.DEFAULT_SESSION", None)  # it remembers credentials
        yield


@pytest.fixture(scope="session", autouse=True)
def _for_what_is_made_once(tmp_path_factory):
    with _own_settings(tmp_path_factory.mktemp("home")):
        yield


@pytest.fixture(autouse=True)
def _for_each_test(tmp_path):
    with _own_settings(tmp_path):
        yield


@contextlib.contextmanager
def _running_moto(tools, log):
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [tools / "moto_server", "-H", "127.0.0.1", "-p", port]
    with running(command, address, log):
        yield address


@pytest.fixture(scope="session")
def moto(tools, tmp_path_factory):
    """The address of a stand-in for AWS, for all tests."""
    with _running_moto(tools, tmp_path_factory.mktemp("moto") / "log") as address:
        yield address


@pytest.fixture
def fresh_moto(tools, tmp_path):
    """The address of a stand-in for AWS of the test's own."""
    with _running_moto(tools, tmp_path / "moto.log") as address:
        yield address


@pytest.fixture(scope="session")
def declared():
    """The stack's resources, without functions."""
    return resources(STACK.read_text(encoding="utf-8"), GIVEN)


@pytest.fixture(scope="session")
def admin(moto):
    """``admin(service)``: a client whose requests moto never refuses."""

    def client(service):
        session = boto3.Session(region_name=REGION, **ADMIN_KEY)
        return session.client(service, endpoint_url=moto)

    return client


@pytest.fixture(scope="session")
def outputs(admin, declared):
    """The stack is deployed. Its outputs."""
    cloudformation = admin("cloudformation")
    cloudformation.create_stack(
        StackName="laptop-pricing",
        TemplateBody=STACK.read_text(encoding="utf-8"),
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in GIVEN.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    (stack,) = cloudformation.describe_stacks(StackName="laptop-pricing")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    _make_what_moto_leaves_out(declared, admin("s3"), admin("iam"))
    return {entry["OutputKey"]: entry["OutputValue"] for entry in stack["Outputs"]}


def _make_what_moto_leaves_out(declared, s3, iam):
    """Its CloudFormation makes no groups, providers and versioning. Its S3 and IAM do.

    The bucket's policy is not among them: moto ignores conditions and would refuse everything.
    """
    bucket = declared["Bucket"]["Properties"]
    versioning = bucket["VersioningConfiguration"]
    s3.put_bucket_versioning(Bucket=bucket["BucketName"], VersioningConfiguration=versioning)

    provider = declared["GitHub"]["Properties"]
    made = iam.create_open_id_connect_provider(
        Url=provider["Url"], ClientIDList=provider["ClientIdList"], ThumbprintList=["0" * 40]
    )
    assert made["OpenIDConnectProviderArn"] == PROVIDER
    team = declared["Team"]["Properties"]
    iam.create_group(GroupName=team["GroupName"])
    for arn in team["ManagedPolicyArns"]:
        iam.attach_group_policy(GroupName=team["GroupName"], PolicyArn=arn)
    role = declared["GitHubRole"]["Properties"]
    for arn in role["ManagedPolicyArns"]:
        iam.attach_role_policy(RoleName=role["RoleName"], PolicyArn=arn)


@pytest.fixture(scope="session")
def storage_policy(admin, outputs):
    """The policy of team and role, as AWS holds it."""
    iam = admin("iam")
    arn = outputs["PolicyArn"]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


@pytest.fixture(scope="session")
def member(admin, declared, outputs):
    """The keys of a user whose only right is to be in the team."""
    iam = admin("iam")
    iam.create_user(UserName="ana")
    team = declared["Team"]["Properties"]["GroupName"]
    iam.add_user_to_group(GroupName=team, UserName="ana")
    key = iam.create_access_key(UserName="ana")["AccessKey"]
    return {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
    }


@pytest.fixture(scope="session")
def github_role(admin, outputs):
    """The keys that a GitHub workflow gets for the role. moto looks at no token."""
    answer = admin("sts").assume_role_with_web_identity(
        RoleArn=outputs["RoleArn"], RoleSessionName="actions", WebIdentityToken="t" * 8
    )["Credentials"]
    return {
        "aws_access_key_id": answer["AccessKeyId"],
        "aws_secret_access_key": answer["SecretAccessKey"],
        "aws_session_token": answer["SessionToken"],
    }


@pytest.fixture
def enforced(moto, member, github_role):
    """moto checks signatures and rights of each request, as long as the test runs."""

    def after(requests):
        plain = {"Content-Type": "text/plain"}
        address = f"{moto}/moto-api/reset-auth"
        post = urllib.request.Request(address, str(requests).encode(), plain)
        json.load(urllib.request.urlopen(post))

    after(0)
    yield
    after("inf")


@pytest.fixture
def gateway(moto, declared, storage_policy, member, github_role):
    """A gateway to moto that knows the rights of a member and of GitHub's role."""
    policies = [storage_policy, declared["BucketPolicy"]["Properties"]["PolicyDocument"]]
    with gateway_to(moto) as gateway:
        for keys in (member, github_role):
            gateway.policies[keys["aws_access_key_id"]] = policies
        yield gateway


@pytest.fixture
def profile(monkeypatch, tmp_path):
    """``profile(keys, address)``: what `aws configure --profile ana` leaves, and an endpoint.

    It returns the profile's name.
    """

    def write(keys, address):
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        lines = [f"{name} = {value}" for name, value in keys.items()]
        (tmp_path / "credentials").write_text("\n".join(["[ana]", *lines]) + "\n")
        (tmp_path / "config").write_text(
            f"[profile ana]\nregion = {REGION}\nendpoint_url = {address}\n"
        )
        return "ana"

    return write
