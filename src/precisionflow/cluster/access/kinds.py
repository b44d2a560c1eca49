"""Kinds of Argo, Trainer, Katib and Kubernetes that are made, read or removed, in the versions that are written."""

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind that a group of the API serves, most of them by a CRD."""

    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        """Group and version, as an object states them."""
        return f"{self.group}/{self.version}"

    @property
    def resource(self) -> str:
        """Plural and group, as kubectl names the kind."""
        return f"{self.plural}.{self.group}"


WORKFLOWS = Kind("argoproj.io", "v1alpha1", "workflows")
TRAINJOBS = Kind("trainer.kubeflow.org", "v1alpha1", "trainjobs")
RUNTIMES = TRAINJOBS._replace(plural="trainingruntimes")
CLUSTER_RUNTIMES = TRAINJOBS._replace(plural="clustertrainingruntimes")
JOBSETS = Kind("jobset.x-k8s.io", "v1alpha2", "jobsets")
EXPERIMENTS = Kind("kubeflow.org", "v1beta1", "experiments")
TRIALS = EXPERIMENTS._replace(plural="trials")
JOBS = Kind("batch", "v1", "jobs")
PODS = Kind("", "v1", "pods")
NETWORK_POLICIES = Kind("networking.k8s.io", "v1", "networkpolicies")
