"""Bundles, versions and model cards."""
