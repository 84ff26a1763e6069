"""How the learning rate moves over a training."""

from __future__ import annotations

import math
from typing import Literal


def rate_share(step: int, *, steps: int, warmup: float, decay: Literal["linear", "cosine"]) -> float:
    """The share of the peak learning rate that `step` (from 0) of `steps` takes: up over the share `warmup` of the
    steps, then down towards 0, which the step after the last would take."""
    rising = max(1, round(steps * warmup))
    if step < rising:
        return (step + 1) / rising
    done = (step - rising) / max(1, steps - rising)
    return 1.0 - done if decay == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
