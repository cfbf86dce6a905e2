"""May this principal do that? The part of AWS's policy language that our stack uses.

An explicit deny wins, then an explicit allow; anything else is denied. An element or an operator
that is not known here is an error, never ignored: a stack that uses more needs more here.
"""

import re

_ELEMENTS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}


def allowed(documents, action, resource=None, context=None, principal=None):
    """Whether the policies allow an action.

    Parameters
    ----------
    documents : list of dict
        All policies that apply to the request: the principal's and the resource's.
    action : str
        Such as ``s3:GetObject``.
    resource : str, optional
        An ARN. A trust policy has no resources.
    context : dict of str to str, optional
        The request's condition keys. A missing key fulfils no condition.
    principal : str, optional
        Who asks, where a trust policy names them. Who an identity policy belongs to is not asked
        again.
    """
    effects = {
        statement["Effect"]
        for document in documents
        for statement in _list(document["Statement"])
        if _applies(statement, action, resource, context or {}, principal)
    }
    return effects == {"Allow"}


def _applies(statement, action, resource, context, principal):
    unknown = statement.keys() - _ELEMENTS
    if unknown:
        raise NotImplementedError(f"{unknown} of a statement")
    return (
        any(_like(pattern.lower(), action.lower()) for pattern in _list(statement["Action"]))
        and _concerns(statement.get("Resource"), resource)
        and _speaks_of(statement.get("Principal"), principal)
        and _fulfilled(statement.get("Condition", {}), context)
    )


def _concerns(patterns, resource):
    if patterns is None:
        return resource is None
    return resource is not None and any(_like(pattern, resource) for pattern in _list(patterns))


def _speaks_of(expected, principal):
    if expected in (None, "*"):
        return True
    if set(expected) != {"Federated"}:
        raise NotImplementedError(f"the principal {expected}")
    return principal in _list(expected["Federated"])


def _fulfilled(condition, context):
    return all(
        key in context and any(_OPERATORS[operator](value, context[key]) for value in _list(values))
        for operator, keys in condition.items()
        for key, values in keys.items()
    )


def _like(pattern, value):
    if "${" in pattern:
        raise NotImplementedError(f"the variable in {pattern}")
    wildcards = {"*": ".*", "?": "."}
    expression = "".join(wildcards.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _list(value):
    return value if isinstance(value, list) else [value]


_OPERATORS = {
    "Bool": lambda expected, found: str(expected).lower() == found.lower(),
    "StringEquals": lambda expected, found: expected == found,
    "StringLike": _like,
}
