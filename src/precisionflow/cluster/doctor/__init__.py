"""Checks of what a run on a cluster needs."""
