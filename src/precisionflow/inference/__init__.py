"""Inference: predictive coding."""
