"""Predictive coding: energy, settling."""
