"""Searches on Katib."""
