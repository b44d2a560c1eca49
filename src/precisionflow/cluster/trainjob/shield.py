"""Network policy of one TrainJob: its ranks, and sshd of its MPI nodes, are open to its own pods alone."""

from precisionflow.cluster.access.kinds import NETWORK_POLICIES
from precisionflow.cluster.access.objects import Object
from precisionflow.cluster.trainjob.spec import JOBSET, Launch


def shield(launch: Launch) -> Object:
    """What lets the pods of a TrainJob reach one another, and nobody else reach them.

    A policy for all runs can't say that: it would have to compare the labels of two pods.
    """
    own = {"podSelector": {"matchLabels": {JOBSET: launch.name}}}
    return {
        "apiVersion": NETWORK_POLICIES.api_version,
        "kind": "NetworkPolicy",
        "metadata": launch.metadata,
        "spec": {**own, "policyTypes": ["Ingress"], "ingress": [{"from": [own]}]},
    }
