"""Gain control: signals multiplied by precisions that a context, or a state with a memory, sets."""
