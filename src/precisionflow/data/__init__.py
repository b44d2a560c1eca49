"""Data: sources, tasks, the `prepare` stage, batches of what it wrote."""
