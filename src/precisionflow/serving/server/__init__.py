"""The HTTP server of trained models: endpoints, batches, limits, metrics, one process."""
