"""Runs on Kubeflow Pipelines: submitted, followed, fetched."""
