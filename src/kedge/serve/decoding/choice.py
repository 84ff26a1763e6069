"""How a request wants its tokens chosen, without the arithmetic: engines that do not use torch need it too."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kedge.core.bundle import Sampling

_GREEDY = 1e-5  # a temperature below this is greedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How one row's tokens are chosen. `chance` draws one number in [0, 1) a token."""

    temperature: float
    top_p: float
    chance: random.Random

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature < _GREEDY


def choice_of(sampling: Sampling) -> Choice:
    """The way a request wants its tokens chosen; without a seed it differs each time."""
    return Choice(temperature=sampling.temperature, top_p=sampling.top_p, chance=random.Random(sampling.seed))
