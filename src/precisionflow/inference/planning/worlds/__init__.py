"""Worlds to plan in, one file each."""
