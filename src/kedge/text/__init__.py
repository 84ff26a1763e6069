"""Normalising, shingles and similarity: pure functions."""
