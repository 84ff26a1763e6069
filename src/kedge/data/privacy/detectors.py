"""Opens detectors by name: plug-ins of the group `kedge.detectors`, told as `module:function`."""

from __future__ import annotations

import importlib

from kedge.core.errors import Invalid
from kedge.data.privacy.types import Detector


def open_detector(place: str) -> Detector:
    """The detector that the function at `module:function` opens."""
    module, _, function = place.partition(":")
    if not function:
        raise Invalid(f"a detector is told as module:function, not {place!r}")
    detector: Detector = getattr(importlib.import_module(module), function)()
    return detector
