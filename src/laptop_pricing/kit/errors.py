"""The ways in which a command ends early. Each error has its place, its problem and its remedy."""

import re


class ProjectError(Exception):
    """What went wrong.

    `place` is a file, a key of params.yaml or an address, or blank; `problem` says what was found
    and what was expected; `remedy` says what to do about it.
    """

    def __init__(self, place: object, problem: str, remedy: str = "") -> None:
        super().__init__(place, problem, remedy)
        self.place, self.problem, self.remedy = str(place), problem, remedy

    def __str__(self) -> str:
        """One line without secrets: ``place: problem; remedy``."""
        text = f"{self.place}: {self.problem}" if self.place else self.problem
        text = f"{text}; {self.remedy}" if self.remedy else text
        return " ".join(without_credentials(text).split())


class UserError(ProjectError):
    """The user can put it right: bad input, bad settings. Exit code 2."""


class StepFailed(ProjectError):
    """The input was right but the work could not be done: network, server, disk. Exit code 1."""


class DataUnavailable(StepFailed):
    """The dataset is neither in the DVC remote nor at its source."""


def without_credentials(text: str) -> str:
    """`text` with the ``user:password@`` or ``token@`` of its URLs taken out."""
    # Not `//host: ...` nor `//host:5000/...`; a password may hold what should have been escaped.
    host = r"(?![^/@\s]*:(\d+[/?#]|\d*[^\w\s@]*(\s|$)))"
    return re.sub(rf"//{host}[^/@:\s]*(:[^@\n]*(@\S*)?)?@", "//", text)
