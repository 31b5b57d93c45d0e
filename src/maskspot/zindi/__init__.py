"""The competition's data service."""
