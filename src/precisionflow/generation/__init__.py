"""Texts that a trained network writes: a cache, a choice of tokens, a loop over both."""
