"""Inference: predictive coding, variational."""
