"""Fakes and conformance suites for plug-in authors."""
