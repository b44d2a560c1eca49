"""Checks of what a run needs from a cluster: each finding is ok, or wrong with the command that mends it."""
