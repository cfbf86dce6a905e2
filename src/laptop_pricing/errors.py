"""The ways in which a command ends early, each told to the user in one line without secrets."""

import re


class _OneLine(Exception):
    def __init__(self, text):
        super().__init__(" ".join(without_credentials(str(text)).split()))


class UserError(_OneLine):
    """The user can put it right: bad input, bad settings. Exit code 2."""


class StepFailed(_OneLine):
    """The input was right but the work could not be done: network, server, disk. Exit code 1."""


class DataUnavailable(StepFailed):
    """The dataset could be had neither from the DVC remote nor from its source."""


def without_credentials(text):
    """`text` with the ``user:password@`` or ``token@`` of its URLs taken out."""
    # Not `//host: ...` nor `//host:5000/...`; a password may hold what should have been escaped.
    host = r"(?![^/@\s]*:(\d+[/?#]|\d*[^\w\s@]*(\s|$)))"
    return re.sub(rf"//{host}[^/@:\s]*(:[^@\n]*(@\S*)?)?@", "//", text)
