"""Which model answers: a folder's, or that of an alias of the registry, which a watcher follows.

The watcher is a process of its own, since MLflow is large. It puts each bundle that it has checked
into a folder of its version and the version's number into the file ``current``, whose model
the servers then load. So they start with the last good one where the registry is down.
"""

import logging
import multiprocessing
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

from pydantic_core import to_json

from ..errors import ProjectError, UserError
from ..files import short, write_text
from ..modeling.bundle import METADATA_FILE, Bundle, load_bundle
from ..modeling.quote import check_quotes, quote_rows
from ..modeling.signature import check_signature, signature_file
from ..problem import Problem
from ..project import Project
from .schemas import ModelId, answer_kind

CURRENT, WATCH_EVERY_S = "current", 20
log = logging.getLogger("uvicorn.error")


class Served(NamedTuple):
    """The model that answers; the next request may have another."""

    bundle: Bundle
    origin: str  # in words
    model: ModelId

    @classmethod
    def of(
        cls, problem: Problem, bundle: Bundle, origin: str, version: Optional[str] = None
    ) -> "Served":
        facts = {"sha256": bundle.sha256, "data_md5": bundle.metadata["data_md5"]}
        return cls(bundle, origin, ModelId(name=problem.name, version=version, **facts))

    def answer(self, problem: Problem, row: Mapping[str, Any], wanted: Any) -> bytes:
        """The answer to a case of typed values, as JSON that begins with a null quote_id."""
        (quote,) = quote_rows(problem, self.bundle, [row], wanted.margin, wanted.risk)
        return to_json(answer_kind(problem).of(quote, problem.target.unit, self.model))


class Source:
    """A folder, or ``models:/NAME@ALIAS`` of a project's registry."""

    def __init__(
        self,
        problem: Problem,
        model: Union[str, Path],
        project: Optional[Project] = None,
        trusted: Sequence[str] = (),
    ) -> None:
        self.problem, self.model, self.project, self.trusted = problem, str(model), project, trusted
        self.named = re.fullmatch("models:/([^@/]+)@([^@/]+)", self.model) if project else None
        if self.model.startswith("models:") and not self.named:
            expected = "a folder or, within a project, models:/NAME@ALIAS"
            raise UserError("--model", f"found {model}; expected {expected}")
        self._seen, self._told = b"", ""

    def place(self) -> tuple[Path, Optional[str]]:
        """The folder of the bundle that is to answer, and its version in the registry."""
        if not self.named:
            return Path(self.model), None
        version = (self.kept / CURRENT).read_text(encoding="utf-8")
        return self.kept / version, version

    def load(self) -> Served:
        """The model that is to answer; a ProjectError says why it cannot."""
        folder, version = self.place()
        bundle = self._checked(folder)
        self._seen = (folder / METADATA_FILE).read_bytes()
        origin = f"{self.model}, version {version}" if version else short(folder)
        log.info("Model: %s", origin)
        return Served.of(self.problem, bundle, origin, version)

    def newer(self) -> Optional[Served]:
        """The model that is to answer, if it is a good one and not the one that was loaded."""
        try:
            if (self.place()[0] / METADATA_FILE).read_bytes() != self._seen:
                return self.load()
        except (ProjectError, OSError) as error:
            self._warn(f"the model stays as it is: {error}")
        return None

    def _checked(self, folder: Path) -> Bundle:
        bundle = load_bundle(folder, self.problem, self.trusted)
        check_signature(self.problem, folder)
        check_quotes(self.problem, bundle, folder)
        return bundle

    def _warn(self, text: str) -> None:
        if text != self._told:  # once
            log.warning("%s", text)
        self._told = text

    # The registry

    @property
    def kept(self) -> Path:
        """The folder of the bundles that came from the registry."""
        assert self.project and self.named
        return self.project.root / ".scratch" / "served" / "@".join(self.named.groups())

    def fetch(self) -> None:
        """Let the version that the alias means now be the current one, once it is checked."""
        from ..tracking.registry import fetch_bundle, version_of

        assert self.project and self.named
        name, alias = self.named.groups()
        with suppress(OSError):
            if self.place()[1] == version_of(self.project, name, alias):
                return
        self.kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.kept) as folder:
            version, path = fetch_bundle(self.project, name, alias, Path(folder))
            self._checked(path)
            shutil.rmtree(self.kept / version, ignore_errors=True)
            path.rename(self.kept / version)
            with suppress(FileNotFoundError):
                signature_file(path).replace(signature_file(self.kept / version))
        write_text(self.kept / CURRENT, version)

    def try_fetch(self) -> Optional[Exception]:
        """Why it could not be fetched, said once; None if it could."""
        try:
            self.fetch()
            self._told = ""
            return None
        except (ProjectError, OSError) as error:
            self._warn(f"{self.model} not fetched: {error}")
            return error

    def watch(self) -> None:
        """Fetch again and again, as long as the process that started this one is alive."""
        parent = multiprocessing.parent_process()
        while True:
            for _ in range(WATCH_EVERY_S):
                time.sleep(1)
                if parent and not parent.is_alive():
                    return
            self.try_fetch()
