"""Stops a training that has gone wrong, and says where and what to try."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kedge.core.errors import Failed

_SMOOTH = 0.98
_WORSE = 1.5  # times the loss that training began with, and one nat on top


@dataclass(slots=True, kw_only=True)
class Watchdog:
    """Follows the loss. `first` is the loss of the first step, `smoothed` its moving average."""

    first: float | None = None
    smoothed: float = 0.0

    def see(self, step: int, *, loss: float, norm: float, rate: float) -> None:
        """Take the loss and the gradient norm of a step (from 1) that learns at `rate`. `Failed` if either is not a
        number, or if the loss has become far worse than at the start."""
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise Failed(
                f"training stopped at step {step}: the {'loss' if not math.isfinite(loss) else 'gradient'} is not a number",
                hint=f"try learning_rate = {rate / 4:.1g} (a quarter of now), a longer warmup, or precision = 'float32'; "
                f"the last checkpoint before the step is kept",
            )
        if self.first is None:
            self.first = self.smoothed = loss
        self.smoothed = _SMOOTH * self.smoothed + (1.0 - _SMOOTH) * loss
        if self.smoothed > _WORSE * self.first + 1.0:
            raise Failed(
                f"training stopped at step {step}: it diverges, the loss rose from {self.first:.3g} to {self.smoothed:.3g}",
                hint=f"try learning_rate = {rate / 4:.1g} (a quarter of now) or a longer warmup",
            )
