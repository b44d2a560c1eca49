"""Models: attention, likelihoods, networks, posteriors over their weights."""
