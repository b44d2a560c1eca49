"""Training on several nodes: a TrainJob of Kubeflow Trainer, described, launched and watched to its end."""
