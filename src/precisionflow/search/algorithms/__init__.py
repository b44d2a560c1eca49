"""Algorithms that suggest trials, early stopping, and the values of a study's parameters."""
