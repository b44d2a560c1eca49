"""Runs on Kubeflow Pipelines: a file for each thing done with a run (submit, follow, fetch, ...) and what they read."""
