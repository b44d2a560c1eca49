"""Checks of a study whose fields are right: what Katib's webhook and services refuse, and what no trial could use."""
