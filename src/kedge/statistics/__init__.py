"""Intervals and paired tests: pure functions."""
