"""The verbs: rooms wired to stores."""
