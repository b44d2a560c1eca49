"""Kubeflow on a cluster: runs, TrainJobs, Katib, checks. Nothing else talks to Kubernetes or to KFP's API."""
