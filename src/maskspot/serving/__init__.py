"""Scoring over HTTP: a small API, and a page to drop pictures on."""
