"""The resource of a trial: what Katib must find in it, and the one command that this machine runs."""

from precisionflow.config.base import ConfigError
from precisionflow.search.command import commands
from precisionflow.search.resource import TrialTemplate

_KEY = "spec.trialTemplate"
_KINDS = {"Job": "batch/v1", "TrainJob": "trainer.kubeflow.org/v1alpha1"}
"""Resources whose end Katib knows by itself."""
_NODE = "node"
"""The training container in a TrainJob's pods."""


def check_template(template: TrialTemplate) -> None:
    """ConfigError for a resource that Katib could not make, follow to its end or collect from."""
    spec = template.trialSpec
    for field in ("apiVersion", "kind"):
        if not isinstance(spec.get(field), str):
            raise ConfigError(f"{_KEY}.trialSpec.{field}: missing; give that of a Job or a TrainJob")
    kind, version = spec["kind"], spec["apiVersion"]
    if _KINDS.get(kind) not in (None, version):
        raise ConfigError(f"{_KEY}.trialSpec.apiVersion: given {version!r}; a {kind} has {_KINDS[kind]}")
    if kind not in _KINDS and not template.successCondition:
        raise ConfigError(
            f"{_KEY}.successCondition: missing; Katib knows the end of {', '.join(_KINDS)}, not of {kind}"
        )
    if len(list(commands(spec))) > 1:
        raise ConfigError(
            f"{_KEY}.trialSpec: several containers have a command; a trial on this machine is one, leave one"
        )
    _check_primary(template)


def _check_primary(template: TrialTemplate) -> None:
    """The collector goes beside the primary container; Katib itself notices a wrong name only in the pod."""
    match template.trialSpec:
        case {"kind": "TrainJob"}:
            names = [_NODE]
        case {"kind": "Job", "spec": {"template": {"spec": {"containers": [*containers]}}}}:
            names = [str(container.get("name")) for container in containers]
        case {"kind": "Job"}:
            raise ConfigError(f"{_KEY}.trialSpec.spec.template.spec.containers: missing; give the trial's")
        case _:
            return
    if template.primaryContainerName not in names:
        raise ConfigError(
            f"{_KEY}.primaryContainerName: given {template.primaryContainerName!r}; "
            f"there is {', '.join(names)}"
        )
