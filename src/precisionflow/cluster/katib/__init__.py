"""Searches on Katib: the experiment of a study, described, launched and watched to its end."""
