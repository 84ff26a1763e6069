"""Stops a training that has gone wrong, and says where and what to try."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kedge.core.errors import Failed
from kedge.train.types import TrainOptions

_SMOOTH = 0.98
_WORSE = 1.5  # times the loss that training began with, and one nat on top


@dataclass(slots=True, kw_only=True)
class Watchdog:
    """Follows the loss. `first` is the loss of the first step, `smoothed` its moving average; `advice` ends a warning."""

    first: float | None = None
    smoothed: float = 0.0
    advice: str = ""

    def see(self, step: int, *, loss: float, norm: float) -> None:
        """Take the loss and the gradient norm of a step (from 1). `Failed` if either is not a number, or if the loss
        has become far worse than at the start."""
        if not math.isfinite(loss) or not math.isfinite(norm):
            what = "gradient" if math.isfinite(loss) else "loss"
            raise Failed(f"training stopped at step {step}: the {what} is not a number", hint=self.advice)
        if self.first is None:
            self.first = self.smoothed = loss
        self.smoothed = _SMOOTH * self.smoothed + (1.0 - _SMOOTH) * loss
        if self.smoothed > _WORSE * self.first + 1.0:
            raise Failed(
                f"training stopped at step {step}: it diverges, the loss rose from {self.first:.3g} to {self.smoothed:.3g}",
                hint=self.advice,
            )


def advise(options: TrainOptions, precision: str) -> str:
    """What to try when a training has gone wrong."""
    rates = {"learning_rate": options.rate}
    if options.mover == "muon":
        rates["matrix_learning_rate"] = options.matrix_learning_rate
    tries = [f"{name} = {rate / 4:.2g} (now {rate:.2g})" for name, rate in rates.items()]
    tries.append(f"warmup = {max(0.1, min(0.5, options.warmup * 2)):.2g} (now {options.warmup:.2g})")
    if options.clip == 0.0:
        tries.append("clip = 1.0 (now off)")
    if precision != "float32":
        tries.append(f"precision = 'float32' (now {precision})")
    return f"try {', or '.join(tries)}"
