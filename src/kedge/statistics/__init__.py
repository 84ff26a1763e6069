"""Intervals, paired tests and the number of cases a decision needs: pure functions."""
