"""Readers of text and table files."""
