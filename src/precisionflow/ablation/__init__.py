"""Ablation: variants of an experiment, and the table of intervals and contrasts of their metrics."""
