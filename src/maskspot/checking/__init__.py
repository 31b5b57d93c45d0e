"""Checks of data sets: files, duplicates, leaks, and labels that seem wrong."""
