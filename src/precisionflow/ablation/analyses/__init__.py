"""Analyses: layouts of runs over ranges of settings, and what the runs say of the ranges."""
