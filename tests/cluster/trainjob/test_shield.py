"""The network policy of a TrainJob: its own pods and nobody else, gone with it."""

import kubernetes_validate

from precisionflow.cluster.trainjob.shield import shield
from precisionflow.cluster.trainjob.spec import Launch
from precisionflow.config import load


def test_only_pods_of_the_same_trainjob_come_in() -> None:
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "wf", "uid": "u"}
    experiment = load("quickstart-language", ["ablation.axes={}", "engine.nodes=2"])
    launch = Launch(experiment, image="i", key="0123456789ab", run="r", owner=owner)
    policy = shield(launch)
    kubernetes_validate.validate(policy, "1.34", strict=True)
    own = {"matchLabels": {"jobset.sigs.k8s.io/jobset-name": launch.name}}
    assert policy["metadata"] == launch.metadata
    assert policy["spec"]["podSelector"] == own
    assert policy["spec"]["policyTypes"] == ["Ingress"], "what goes out is the namespace's matter"
    assert policy["spec"]["ingress"] == [{"from": [{"podSelector": own}]}]
