"""Data sources and the `prepare` stage."""
