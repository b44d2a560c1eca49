"""Proper scores, one value a row."""
