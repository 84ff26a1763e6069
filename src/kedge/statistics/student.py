"""Student's t: apart from the rest, because only few cases need it and scipy takes its time to load."""

from __future__ import annotations

from scipy.special import stdtrit


def student_quantile(level: float, freedom: int) -> float:
    """The number of standard errors on either side of a two-sided interval, with so many degrees of freedom."""
    return float(stdtrit(freedom, 0.5 + level / 2))
