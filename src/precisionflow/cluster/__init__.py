"""Kubeflow on a cluster: access, pipelines, trainjob, katib, doctor. Nothing else talks to Kubernetes or KFP."""
