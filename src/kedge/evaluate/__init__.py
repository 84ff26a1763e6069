"""Scores per case, intervals, baselines, gates and verdicts."""
