"""kedge: one line for a language model, from the row of text it learned from to the answer it gave a user.

    project = kedge.open()
    with kedge.start_run("probe", params={"lr": 0.001}) as run:
        run.log_metric("loss", 0.3)

Nothing is imported until it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kedge.app.project import Project
    from kedge.app.project import open_project as open  # noqa: A004 - kedge.open() reads as it should
    from kedge.app.tracking import (
        TrackedRun,
        current_run,
        flush,
        log_metric,
        log_metrics,
        log_params,
        start_run,
    )

__all__ = [
    "open",
    "Project",
    "start_run",
    "current_run",
    "log_metric",
    "log_metrics",
    "log_params",
    "flush",
    "TrackedRun",
]

_PLACES: Final = {
    "open": "kedge.app.project:open_project",
    "Project": "kedge.app.project:Project",
}
_TRACKING: Final = "kedge.app.tracking"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'kedge' has no attribute {name!r}")
    module, _, attribute = _PLACES.get(name, f"{_TRACKING}:{name}").partition(":")
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
