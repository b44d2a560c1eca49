"""Searches over an experiment's fields: Katib's Experiment resource, read strictly and run on this machine."""
