"""Proper scores, calibration and the `evaluate` stage."""
