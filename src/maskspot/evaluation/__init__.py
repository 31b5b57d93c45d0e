"""Metrics of probabilities, and evaluation of models on labelled images."""
