"""Parts that `prepare` writes, one file for each task."""
