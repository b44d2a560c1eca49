"""A study: Katib's Experiment resource (kubeflow.org/v1beta1), read once; Katib itself publishes no schema of it."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, ValidationError, model_validator

from precisionflow.config import digest
from precisionflow.config.base import Config, ConfigError, Count, Whole
from precisionflow.config.explain import explain
from precisionflow.records.search import Better
from precisionflow.search.metric_lines import Strategy
from precisionflow.search.template import Template


class Setting(Config):
    """A name and a text."""

    name: str
    value: str


class MetricStrategy(Config):
    """Which of a trial's reports of a metric counts."""

    metric: str = Field(alias="name")
    strategy: Strategy = Field(alias="value")


class Objective(Config):
    """What is searched for."""

    better: Better = Field(alias="type")
    goal: float | None = Field(None, allow_inf_nan=False)
    metric: str = Field(alias="objectiveMetricName")
    additional: tuple[str, ...] = Field((), alias="additionalMetricNames")
    given: tuple[MetricStrategy, ...] = Field((), alias="metricStrategies")

    @property
    def metrics(self) -> tuple[str, ...]:
        """Collected metrics, the objective first."""
        return self.metric, *self.additional

    @property
    def strategies(self) -> dict[str, Strategy]:
        """Collected metric -> which of a trial's reports counts; the best one where the study does not say."""
        default: Strategy = "min" if self.better == "minimize" else "max"
        return dict.fromkeys(self.metrics, default) | {one.metric: one.strategy for one in self.given}

    def reached(self, value: float) -> bool:
        """Whether a value is as good as the goal."""
        if self.goal is None:
            return False
        return value >= self.goal if self.better == "maximize" else value <= self.goal


class Algorithm(Config):
    """An algorithm's name and its settings."""

    name: str = Field(alias="algorithmName")
    given: tuple[Setting, ...] = Field((), alias="algorithmSettings")

    @property
    def settings(self) -> dict[str, str]:
        """Setting -> value."""
        return {setting.name: setting.value for setting in self.given}


class Space(Config):
    """Values of a parameter: numbers are texts here, and an empty one is absent, as in Katib."""

    low: str = Field("", alias="min")
    high: str = Field("", alias="max")
    step: str = ""
    choices: tuple[str, ...] = Field((), alias="list")
    distribution: Literal["uniform", "logUniform", "normal", "logNormal"] | None = None

    @property
    def logarithmic(self) -> bool:
        """Whether the parameter is drawn by its logarithm."""
        return self.distribution in ("logUniform", "logNormal")


class Parameter(Config):
    """A searched parameter."""

    name: str
    kind: Literal["double", "int", "categorical", "discrete"] = Field(alias="parameterType")
    space: Space = Field(alias="feasibleSpace")

    @property
    def numeric(self) -> bool:
        """Whether the parameter has a range; else it has a list of choices."""
        return self.kind in ("double", "int")

    @property
    def ends(self) -> tuple[str, ...]:
        """Both ends of the range, or every choice."""
        return (self.space.low, self.space.high) if self.numeric else self.space.choices


class Collector(Config):
    """Where metrics are found: in what a trial prints, so that this machine reads what Katib reads."""

    kind: Literal["StdOut"]


class CollectorSpec(Config):
    """Katib's collector with its own filter; a trial prints `metric=value`."""

    collector: Collector


class Spec(Config):
    """Katib's ExperimentSpec, without neural architecture search."""

    parameters: tuple[Parameter, ...]
    objective: Objective
    algorithm: Algorithm
    stopping: Algorithm | None = Field(None, alias="earlyStopping")
    template: Template = Field(alias="trialTemplate")
    parallel: Count = Field(3, alias="parallelTrialCount")
    """Trials at once."""
    trials: Count | None = Field(None, alias="maxTrialCount")
    """Trials after which the search ends; none: when the algorithm ends."""
    failures: Whole | None = Field(None, alias="maxFailedTrialCount")
    """Failed trials at which the search fails."""
    collector: CollectorSpec | None = Field(None, alias="metricsCollectorSpec")
    resume: Literal["Never", "LongRunning", "FromVolume"] = Field("Never", alias="resumePolicy")


class Metadata(Config):
    """Name and labels of a Kubernetes resource."""

    name: str
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Study(Config):
    """Katib's Experiment; here an experiment is what each trial trains. Katib's names are the aliases of the fields."""

    version: Literal["kubeflow.org/v1beta1"] = Field(alias="apiVersion")
    kind: Literal["Experiment"]
    metadata: Metadata
    spec: Spec
    _content: dict[str, Any] = PrivateAttr()

    @model_validator(mode="wrap")
    @classmethod
    def _keep_content(cls, content: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        study = handler(content)
        study._content = dict(content)
        return study

    @property
    def content(self) -> dict[str, Any]:
        """The resource as it stands in its file."""
        return self._content

    @property
    def name(self) -> str:
        """Name of the resource."""
        return self.metadata.name

    @property
    def key(self) -> str:
        """Digest of all that decides which trials are made: not how many, nor how many at once."""
        objective, spec = self.spec.objective, self.content["spec"]
        strategies = {one.metric: one.strategy for one in objective.given}
        decisive = {
            key: spec.get(key) for key in ("parameters", "algorithm", "earlyStopping", "trialTemplate")
        }
        return digest([self.name, objective.metric, objective.better, strategies, decisive])


def parse_study(content: Mapping[str, Any]) -> Study:
    """Fields and types of a study; ConfigError that names the dotted key, what is given and what is allowed."""
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(error, Study)) from None
