"""Training on several nodes: TrainJobs of Kubeflow Trainer."""
