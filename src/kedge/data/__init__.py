"""Rooms of text: ingest, clean, deduplicate, split, version, look up."""
