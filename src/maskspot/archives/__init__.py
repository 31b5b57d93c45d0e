"""Zip and tar archives that anyone may have made: limits, and one way to walk their entries."""
