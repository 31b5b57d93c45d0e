"""Zip and tar archives from strangers: limits, and one way to read their entries."""
