"""The kinds of stage that a pipeline can have: ours and those of plug-ins, declared light and looked up by name."""

from __future__ import annotations

from kedge.core.catalogue import Catalogue
from kedge.core.step import Step
from kedge.plugins import catalogue

GROUP = "kedge.steps"


def load_steps() -> Catalogue[Step]:
    """Every step of the entry points; each is imported when it is asked for."""
    return catalogue("step", GROUP)
