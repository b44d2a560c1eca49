"""Tokens for the patches of an image as inference under a budget: utilities, budgets, posteriors, scorers, readers."""
