"""The control API: parse, call, render."""
