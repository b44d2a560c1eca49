"""Checks of the trials' template: Katib can make, follow and listen to the resource, and every parameter reaches it."""

from precisionflow.config.base import ConfigError, nearest
from precisionflow.search.study import Spec
from precisionflow.search.template import OF_TRIAL, Template

_KEY = "spec.trialTemplate"
_KINDS = {"Job": "batch/v1", "TrainJob": "trainer.kubeflow.org/v1alpha1"}
"""Resources whose end Katib knows by itself."""
_NODE = "node"
"""The training container in a TrainJob's pods."""


def check_template(template: Template) -> None:
    """ConfigError for a resource that Katib could not make, follow to its end or collect from."""
    resource = template.resource
    for field in ("apiVersion", "kind"):
        if not isinstance(resource.get(field), str):
            raise ConfigError(f"{_KEY}.trialSpec.{field}: missing; give that of a Job or a TrainJob")
    kind, version = resource["kind"], resource["apiVersion"]
    if _KINDS.get(kind) not in (None, version):
        raise ConfigError(f"{_KEY}.trialSpec.apiVersion: given {version!r}; a {kind} has {_KINDS[kind]}")
    if kind not in _KINDS and not template.success:
        raise ConfigError(
            f"{_KEY}.successCondition: missing; Katib knows the end of {', '.join(_KINDS)}, not of {kind}"
        )
    if len(template.commands) > 1:
        raise ConfigError(
            f"{_KEY}.trialSpec: several containers have a command; a trial on this machine is one, leave one"
        )
    _check_primary(template)


def _check_primary(template: Template) -> None:
    """The collector goes beside the primary container; Katib itself notices a wrong name only in the pod."""
    match template.resource:
        case {"kind": "TrainJob"}:
            names = [_NODE]
        case {"kind": "Job", "spec": {"template": {"spec": {"containers": [*containers]}}}}:
            names = [str(container.get("name")) for container in containers]
        case {"kind": "Job"}:
            raise ConfigError(f"{_KEY}.trialSpec.spec.template.spec.containers: missing; give the trial's")
        case _:
            return
    if template.primary_container not in names:
        raise ConfigError(
            f"{_KEY}.primaryContainerName: given {template.primary_container!r}; there is {', '.join(names)}"
        )


def check_placeholders(spec: Spec) -> None:
    """ConfigError for a parameter that no trial gets, and for a placeholder that nothing fills."""
    template, used = spec.template, spec.template.placeholders
    names = [parameter.name for parameter in spec.parameters]
    for index, parameter in enumerate(template.parameters):
        key, reference = f"{_KEY}.trialParameters.{index}", parameter.reference
        if not reference.startswith(OF_TRIAL) and reference not in names:
            raise ConfigError(
                f"{key}.reference: {reference!r} is no parameter; allowed: "
                f"{', '.join(names)}{nearest(reference, names)}"
            )
        if parameter.name not in used:
            raise ConfigError(
                f"{key}.name: ${{trialParameters.{parameter.name}}} stands nowhere in trialSpec; use it"
            )
    declared = [parameter.name for parameter in template.parameters]
    for name in sorted(used - set(declared)):
        raise ConfigError(
            f"{_KEY}.trialSpec: ${{trialParameters.{name}}} is not declared; allowed: {', '.join(declared)}"
            f"{nearest(name, declared)}"
        )
    references = {parameter.reference for parameter in template.parameters}
    for name in names:
        if name not in references:
            raise ConfigError(f"{_KEY}.trialParameters: no trial gets the parameter {name!r}; refer to it")
    if bool(template.success) != bool(template.failure):
        raise ConfigError(
            f"{_KEY}: give both successCondition and failureCondition, or none for Katib's defaults"
        )
