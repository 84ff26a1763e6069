"""Traces looked at afterwards."""
