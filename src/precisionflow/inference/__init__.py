"""Inference: predictive coding, variational, planning."""
