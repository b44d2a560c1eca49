"""Attention as structural inference: a potential, a prior over edges and a value, composed."""
