"""Plan, skip, run: steps in worker processes."""
