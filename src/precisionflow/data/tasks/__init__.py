"""What `prepare` writes for each task."""
