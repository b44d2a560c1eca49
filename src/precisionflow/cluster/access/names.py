"""Names that the manifests, Kubeflow and the code agree on: objects, labels, variables, paths."""

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
KFP_RUN = "pipeline/runid"
"""Label that KFP gives the workflow and the pods of a run: the run's id."""
OF_SCHEDULE = "scheduledworkflows.kubeflow.org/isOwnedByScheduledWorkflow"
"""Label that KFP gives the workflows of recurring runs: true."""
INJECTION = "katib.kubeflow.org/metrics-collector-injection"
"""Label of namespaces whose trials Katib listens to."""
OF_EXPERIMENT, OF_TRIAL = "katib.kubeflow.org/experiment", "katib.kubeflow.org/trial"
"""Labels that Katib gives trials and their pods."""
UNMESHED = {"sidecar.istio.io/inject": "false"}
"""Label or annotation of pods that a service mesh leaves alone."""
LAUNCHER = "kfp-launcher"
"""ConfigMap that may name the pipeline root of a namespace, and the stores and logins of such roots."""
PIPELINE_ROOT = "minio://mlpipeline/v2/artifacts"
"""Where KFP puts artifacts unless that ConfigMap says otherwise."""
STORES = ("seaweedfs", "minio-service")
"""Services of KFP's own object store, the newer one first."""
STORE_LOGIN = "mlpipeline-minio-artifact"
"""Secret of KFP's own object store, whatever program it is."""
KFP_NAMESPACE = "kubeflow"
"""Where KFP lives where each user's runs have a namespace of their own."""
WORKSPACE = "/workspace"
"""Where the workspace's PersistentVolumeClaim is mounted."""
DATA = f"{WORKSPACE}/data"
"""Folder with raw data sets in the workspace."""
