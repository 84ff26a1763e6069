"""Servers of other makers behind the port of an engine: somewhere else, or started here."""
