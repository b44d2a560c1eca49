"""Calibration: how often predictions come true against how often they say so."""
