"""Objectives, settling, the loop and the engines under it."""
