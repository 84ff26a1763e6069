"""Evaluations that others made, read from their files, one file each."""
