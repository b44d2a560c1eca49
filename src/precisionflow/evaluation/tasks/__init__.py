"""Predictors and their scores, one file for each task."""
