"""Posteriors over the weights, one file each, and the predictive distributions that follow."""
