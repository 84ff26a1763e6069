"""What decides a step's outcome beside its options and inputs: source code, versions, machine, the outside."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from kedge.core.hashing import digest_of
from kedge.pipeline.plan import OUTSIDE
from kedge.pipeline.sources import Sources
from kedge.pipeline.types import Circumstances, Stage


class Surroundings:
    """Looks at the surroundings of each stage once; made for one command, as code and packages change between two."""

    def __init__(self, root: Path, versions: Callable[[Iterable[str]], Mapping[str, str]]) -> None:
        self._root = root
        self._versions = versions
        self._sources = Sources()
        self._seen: dict[str, Circumstances] = {}

    def look(self, stage: Stage) -> Circumstances:
        """The digests and versions now. `Invalid` if the step names code that is not there."""
        if stage.name not in self._seen:
            self._seen[stage.name] = self._look(stage)
        return self._seen[stage.name]

    def _look(self, stage: Stage) -> Circumstances:
        modules = self._sources.modules(stage.step.code)
        environment = {
            "python": ".".join(map(str, sys.version_info[:3])),
            "machine": os.uname().machine,
            **self._versions(stage.step.packages),
        }
        if stage.step.outside is not None:
            environment[OUTSIDE] = stage.step.outside(stage.options, self._root)
        return Circumstances(code=digest_of(modules), modules=modules, environment=environment)
