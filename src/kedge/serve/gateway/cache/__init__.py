"""Answers that are given again: exactly the same request, or one that is alike; each to its own tenant and bundle."""
