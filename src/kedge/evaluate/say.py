"""Findings in words that a person can check."""

from __future__ import annotations

from kedge.core.evaluation import Interval, MetricResult, Outcome, Rule
from kedge.statistics.power import MOST


def show(interval: Interval) -> str:
    """`0.712 [0.683, 0.739]`."""
    return f"{_number(interval.value)} [{_number(interval.low)}, {_number(interval.high)}]"


def say_number(rule: Rule, result: MetricResult, outcome: Outcome, reference: float, *, above: bool) -> str:
    """How a metric lies to a number."""
    beyond, short = ("at least", "below") if above else ("at most", "above")
    words = {
        Outcome.PASS: f"is {beyond} {reference:g}",
        Outcome.FAIL: f"is {short} {reference:g}",
        Outcome.UNDECIDED: f"may be {beyond} {reference:g} or not",
    }
    return f"{_name(rule)} {show(result.interval)} {words[outcome]}"


def say_difference(rule: Rule, interval: Interval, outcome: Outcome, other: str) -> str:
    """How a metric lies to another answerer's."""
    if rule.margin < 0:
        by = f"no more than {-rule.margin:g} worse than {other}"
        words = {
            Outcome.PASS: f"is {by}",
            Outcome.FAIL: f"is more than {-rule.margin:g} worse than {other}",
            Outcome.UNDECIDED: f"may be {by} or not",
        }
    else:
        by = f" by more than {rule.margin:g}" if rule.margin else ""
        words = {
            Outcome.PASS: f"beats {other}{by}",
            Outcome.FAIL: f"does not beat {other}{by}",
            Outcome.UNDECIDED: f"may beat {other}{by} or not",
        }
    signed = f"{interval.value:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
    return f"{_name(rule)} {words[outcome]}: {signed} case by case"


def say_absent(rule: Rule, outcome: Outcome, why: str) -> str:
    """Why there is nothing to compare a metric with."""
    if outcome is Outcome.PASS:
        return f"{_name(rule)}: {why}"
    return f"{_name(rule)} cannot be compared: {why}; evaluate it there and judge again"


def say_cases(n: int, needed: int) -> str:
    """How many cases there were, and how many would tell."""
    if not needed:
        return f" ({n:,} cases)"
    if needed >= MOST:
        return f" ({n:,} cases; too close for any number of cases to tell)"
    return f" ({n:,} cases; about {needed:,} would tell)"


def _name(rule: Rule) -> str:
    return f"{rule.metric} on {rule.slice}" if rule.slice else rule.metric


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"
