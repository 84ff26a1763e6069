"""Answerers that need no model, one file each; found by name in the catalogue `kedge.baselines`."""
