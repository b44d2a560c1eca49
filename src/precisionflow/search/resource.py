"""Katib's Experiment resource (kubeflow.org/v1beta1), field by field: Katib itself publishes no schema of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from precisionflow.config.base import Config, ConfigError, Count, Whole
from precisionflow.config.explain import explain
from precisionflow.config.load import mapping


class Setting(Config):
    """A name and a text."""

    name: str
    value: str


class MetricStrategy(Config):
    """Which of a trial's reports counts."""

    name: str
    value: Literal["min", "max", "latest"]


class ObjectiveSpec(Config):
    """What is searched for."""

    type: Literal["minimize", "maximize"]
    goal: float | None = None
    objectiveMetricName: str
    additionalMetricNames: tuple[str, ...] = ()
    metricStrategies: tuple[MetricStrategy, ...] = ()


class AlgorithmSpec(Config):
    """An algorithm's name and its settings."""

    algorithmName: str
    algorithmSettings: tuple[Setting, ...] = ()


class FeasibleSpace(Config):
    """The values of a parameter: numbers are texts here."""

    min: str = ""
    max: str = ""
    step: str = ""
    list: tuple[str, ...] = ()
    distribution: Literal["uniform", "logUniform", "normal", "logNormal"] | None = None


class ParameterSpec(Config):
    """A searched parameter."""

    name: str
    parameterType: Literal["double", "int", "categorical", "discrete"]
    feasibleSpace: FeasibleSpace


class TrialParameter(Config):
    """A placeholder of the template, and the parameter that fills it."""

    name: str
    description: str = ""
    reference: str


class TrialTemplate(Config):
    """The resource that is made for each trial."""

    retain: bool = False
    primaryPodLabels: dict[str, str] = {}
    primaryContainerName: str
    successCondition: str = ""
    failureCondition: str = ""
    trialParameters: tuple[TrialParameter, ...]
    trialSpec: dict[str, Any]


class Collector(Config):
    """Where metrics are found: in what a trial prints, so that this machine reads what Katib reads."""

    kind: Literal["StdOut"]


class CollectorSpec(Config):
    """Katib's collector with its own filter; a trial prints `metric=value`."""

    collector: Collector


class StudySpec(Config):
    """Katib's ExperimentSpec, without neural architecture search."""

    parameters: tuple[ParameterSpec, ...]
    objective: ObjectiveSpec
    algorithm: AlgorithmSpec
    earlyStopping: AlgorithmSpec | None = None
    trialTemplate: TrialTemplate
    parallelTrialCount: Count = 3
    maxTrialCount: Count | None = None
    maxFailedTrialCount: Whole | None = None
    metricsCollectorSpec: CollectorSpec | None = None
    resumePolicy: Literal["Never", "LongRunning", "FromVolume"] = "Never"


class Metadata(Config):
    """Of a Kubernetes resource."""

    name: str
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Study(Config):
    """Katib's Experiment. Ours is the name Study: an experiment is what each trial trains."""

    apiVersion: Literal["kubeflow.org/v1beta1"]
    kind: Literal["Experiment"]
    metadata: Metadata
    spec: StudySpec


def read_study(file: Path) -> dict[str, Any]:
    """The content of a study's file as it stands there, after every check; ConfigError with one line otherwise."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{file}: does not exist; the shipped studies are in katib/") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file}: cannot be read ({error}); give a YAML file such as katib/*.yaml"
        ) from None
    return study_of(text, origin=str(file))


def study_of(text: str, *, origin: str = "study") -> dict[str, Any]:
    """The study in a YAML or JSON text as it stands there, after every check; ConfigError with one line otherwise."""
    from precisionflow.search.validate import check_study

    content = mapping(text, origin, of=Study)
    try:
        check_study(parse_study(content))
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    return content


def parse_study(content: Mapping[str, Any]) -> Study:
    """Fields and types of a study; ConfigError that names the dotted key, what is given and what is allowed."""
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(error, Study)) from None
