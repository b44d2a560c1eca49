"""Likelihoods, one file each: heads asked for, predictive distribution, loss, Fisher root.

An objective is a likelihood and a weighting of its rows; `objective.objective` makes it of a configuration.
"""
