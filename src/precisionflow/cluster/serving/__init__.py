"""Deployments of served models on a cluster."""
