"""The same scoring on an existing distributed engine."""
