"""What CloudFormation makes of a stack: the template with its functions worked out.

moto leaves some resources out, so the tests need their properties in full.
"""

import re

from environments import ROOT
from ruamel.yaml import YAML

STACK = ROOT / "references" / "aws" / "stack.yaml"
GIVEN = {"BucketName": "my-bucket", "GitHubRepository": "octo@12/project@345"}
REGION = "us-east-1"
ADMIN_KEY = {"aws_access_key_id": "admin", "aws_secret_access_key": "hunter2"}
ACCOUNT = "123456789012"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"


def resources(text, given):
    """The resources that the stack makes, without functions.

    Parameters
    ----------
    text : str
        The template. Only the functions that it uses are known; another one is a ``KeyError``.
    given : dict of str to str
        The parameters. The others have their defaults.

    Returns
    -------
    dict
        Logical name to the resource's declaration.
    """
    template = _load(text)
    names = {"AWS::Partition": "aws", "AWS::AccountId": ACCOUNT}
    names |= {name: entry.get("Default") for name, entry in template["Parameters"].items()}
    names |= given
    names |= {
        "Bucket": names["BucketName"],
        "GitHub": PROVIDER,
        "StoragePolicy": f"arn:aws:iam::{ACCOUNT}:policy/{names['ProjectName']}-storage",
        "Team": f"{names['ProjectName']}-team",
    }
    conditions = {name: {"Condition": name} for name in template["Conditions"]}

    def work_out(node):
        if isinstance(node, list):
            return [work_out(entry) for entry in node]
        if not isinstance(node, dict):
            return node
        if len(node) == 1 and next(iter(node)) in functions:
            name, value = next(iter(node.items()))
            return functions[name](value)
        return {key: work_out(value) for key, value in node.items()}

    functions = {
        "Ref": lambda name: names[name],
        "Sub": lambda text: re.sub(r"\$\{(.+?)\}", lambda found: names[found[1]], text),
        "Equals": lambda pair: work_out(pair[0]) == work_out(pair[1]),
        "Not": lambda only: not work_out(only[0]),
        "And": lambda both: all(map(work_out, both)),
        "Condition": lambda name: work_out(template["Conditions"][name]),
        "If": lambda parts: work_out(parts[1] if work_out(conditions[parts[0]]) else parts[2]),
    }
    made = {}
    for name, entry in template["Resources"].items():
        condition = entry.pop("Condition", None)
        if condition is None or work_out(conditions[condition]):
            made[name] = work_out(entry)
    return made


def _load(text):
    """The YAML, with ``!Name value`` read as ``{Name: value}``."""
    yaml = YAML(typ="safe", pure=True)

    def function(constructor, suffix, node):
        if node.id == "scalar":
            value = constructor.construct_scalar(node)
        else:
            value = constructor.construct_sequence(node, deep=True)
        return {suffix: value}

    yaml.constructor.add_multi_constructor("!", function)
    return yaml.load(text)
