"""Scores answers case by case, judges them by gates, and compares two answerers on the same cases."""
