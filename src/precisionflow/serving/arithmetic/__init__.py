"""Arithmetic of a prediction: cheaper variants of a model, what they cost and err, the choice of one for a batch."""
