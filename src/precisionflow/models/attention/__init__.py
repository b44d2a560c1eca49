"""Attention as structural inference: a potential, a prior over edges and a value, composed."""

from precisionflow.models.attention.assemble import Attention, attention

__all__ = ["Attention", "attention"]
