"""Names that the manifests and the code agree on."""

MLFLOW = "precisionflow-mlflow"
"""ConfigMap with MLFLOW_TRACKING_URI, and Secret with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."""
MLFLOW_VARIABLES = ("MLFLOW_TRACKING_URI",)
MLFLOW_SECRETS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
MLFLOW_ALL = (*MLFLOW_VARIABLES, *MLFLOW_SECRETS)
MANAGED = {"app.kubernetes.io/managed-by": "precisionflow"}
"""Label of everything that the code makes."""
RUN = "precisionflow.org/run"
"""Label: id of the KFP run that made a TrainJob or a Katib experiment."""
KEY = "precisionflow.org/key"
"""Label: what a TrainJob or a Katib experiment computes, so that a retry finds it again."""
WORKSPACE = "/workspace"
"""Where the workspace's PersistentVolumeClaim is mounted."""
