"""The experiment: one YAML file, resolved and validated once."""

import hashlib
import json
from typing import Annotated, Self, get_args

from pydantic import Field, model_validator

from precisionflow.config.ablation import Ablation, Bounds
from precisionflow.config.attention import Causal
from precisionflow.config.base import Config, Label, Name, Seed, nearest
from precisionflow.config.cluster import Cluster
from precisionflow.config.engine import BatchedEngine, DeepSpeedEngine, Engine, TorchEngine
from precisionflow.config.evaluation import RECALIBRATIONS, Evaluation
from precisionflow.config.learning import Backpropagation, Learning
from precisionflow.config.likelihoods import (
    CrossEntropy,
    GaussianNLL,
    Natural,
    Objective,
    RegressionObjective,
)
from precisionflow.config.networks import MLP, TAGI, Model, Transformer
from precisionflow.config.posteriors import Ensemble, LaplaceApproximation
from precisionflow.config.tasks import Characters, Regression, Task
from precisionflow.config.training import Training


class Experiment(Config):
    """A question about learned precision, and everything that is needed to answer it."""

    name: Name
    question: str = ""
    task: Task
    model: Model
    objective: Objective
    learning: Learning = Backpropagation()
    training: Training = Training()
    engine: Engine = TorchEngine()
    evaluation: Evaluation = Evaluation()
    cluster: Cluster = Cluster()
    gate: dict[str, Bounds] = {}
    """Metric -> where its mean over seeds and splits must lie for the model to become champion in MLflow's registry."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    """One training run for each seed (initial weights, order of batches)."""
    splits: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    """Cuts of the data into training, validation and test rows."""
    ablation: Ablation = Ablation()
    variant: Label = "default"
    """Which combination of the ablation's levels this is; set by the expansion of the axes."""

    @property
    def dataset(self) -> str:
        """Name of the data set in tables."""
        return self.task.source.dataset

    @property
    def hash(self) -> str:
        """sha256 (12 hexadecimal digits) of the resolved configuration without its cluster settings."""
        return digest(self.model_dump(mode="json", exclude={"cluster"}))

    @property
    def metrics(self) -> tuple[str, ...]:
        """What evaluation measures; <metric>_after_<method> is the same of recalibrated predictions."""
        methods = self.evaluation.recalibration
        if isinstance(self.task, Characters):
            scored = [m for m in self.task.metrics if m != "validation_loss"]
            return (*self.task.metrics, *(f"{m}_after_{method}" for method in methods for m in scored))
        after = [f"{m}_after_{method}" for method in methods for m in self.evaluation.intervals]
        if "variance_scaling" in methods:
            after += ["nll_after_variance_scaling", "crps_after_variance_scaling"]
        return (*self.task.metrics, *self.evaluation.intervals, *after)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        match self.task:
            case Regression():
                models: tuple[type[Config], ...] = (MLP, TAGI)
                objectives: tuple[type[Config], ...] = get_args(RegressionObjective)
            case Characters():
                models, objectives = (Transformer,), (CrossEntropy,)
        for field, part, fitting in (
            ("model", self.model, models),
            ("objective", self.objective, objectives),
        ):
            if not isinstance(part, fitting):
                allowed = ", ".join(kind.model_fields["kind"].default for kind in fitting)
                raise ValueError(
                    f"{field}.kind: {part.kind!r} does not fit task.kind {self.task.kind!r}; allowed: {allowed}"
                )
        if isinstance(self.model, Transformer) and not isinstance(self.model.attention.prior, Causal):
            raise ValueError(
                f"model.attention.prior.kind: {self.model.attention.prior.kind!r} lets a character model see the "
                "character that it is to predict; allowed: causal"
            )
        if isinstance(self.engine, DeepSpeedEngine) and self.training.batch_size % self.engine.ranks:
            raise ValueError(
                f"training.batch_size {self.training.batch_size} is not a multiple of "
                f"engine.ranks {self.engine.ranks}; every rank takes an equal share"
            )
        return self

    @model_validator(mode="after")
    def _the_engine_can_train_it(self) -> Self:
        batched = isinstance(self.engine, BatchedEngine)
        if batched and (self.task.kind != "regression" or not isinstance(self.learning, Backpropagation)):
            raise ValueError(
                "engine.kind: batched trains task.kind regression by learning.kind backprop; use engine.kind torch"
            )
        if self.training.average and not batched:
            raise ValueError(
                f"training.average needs engine.kind batched, given {self.engine.kind}; change one of them"
            )
        if isinstance(self.model, MLP) and isinstance(self.model.posterior, Ensemble) and not batched:
            raise ValueError("model.posterior.kind: ensemble needs engine.kind batched; change one of them")
        return self

    @model_validator(mode="after")
    def _closed_forms_have_one_way_to_learn(self) -> Self:
        if not isinstance(self.model, TAGI):
            return self
        for field, part, only in (
            ("objective", self.objective, GaussianNLL()),
            ("learning", self.learning, Backpropagation()),
        ):
            if part != only:
                raise ValueError(
                    f"{field}: model.kind tagi_v learns a Gaussian in closed form; leave {field}.kind {only.kind} "
                    "with its defaults"
                )
        if not isinstance(self.engine, BatchedEngine):
            raise ValueError("model.kind: tagi_v needs engine.kind batched; change one of them")
        return self

    @model_validator(mode="after")
    def _the_posterior_fits_the_objective(self) -> Self:
        posterior = self.model.posterior if isinstance(self.model, MLP) else None
        if isinstance(posterior, LaplaceApproximation) and not isinstance(
            self.objective, GaussianNLL | Natural
        ):
            raise ValueError(
                f"model.posterior.kind: laplace_approximation does not fit objective.kind {self.objective.kind!r}; "
                "allowed: gaussian_nll, natural"
            )
        return self

    @model_validator(mode="after")
    def _numbers_are_told_apart(self) -> Self:
        for key, numbers in (
            ("seeds", self.seeds),
            ("splits", self.splits),
            ("evaluation.levels", self.evaluation.levels),
            ("ablation.metrics", self.ablation.metrics),
            ("evaluation.recalibration", self.evaluation.recalibration),
        ):
            for number in numbers:
                if list(numbers).count(number) > 1:
                    raise ValueError(f"{key}: names {number} twice; name it once")
        text = isinstance(self.task, Characters)
        for method in self.evaluation.recalibration:
            if (method == "temperature") != text:
                allowed = [m for m in RECALIBRATIONS if (m == "temperature") == text]
                raise ValueError(
                    f"evaluation.recalibration: {method} does not fit task.kind {self.task.kind!r}; "
                    f"allowed: {', '.join(allowed)}"
                )
        if isinstance(self.task, Characters) and self.splits != (0,):
            raise ValueError(
                f"splits: given {list(self.splits)}; a text is cut by position, once; keep [0] and repeat with seeds"
            )
        return self

    @model_validator(mode="after")
    def _metrics_are_measured(self) -> Self:
        measured = self.metrics
        named = [("ablation.metrics", name) for name in self.ablation.metrics] + [
            ("gate", name) for name in self.gate
        ]
        for key, name in named:
            if name not in measured:
                raise ValueError(
                    f"{key}: task.kind {self.task.kind!r} has no metric {name!r}; "
                    f"allowed: {', '.join(measured)}{nearest(name, measured)}"
                )
        return self

    @model_validator(mode="after")
    def _the_gate_can_be_passed_and_missed(self) -> Self:
        for metric, bounds in self.gate.items():
            if bounds.low is None and bounds.high is None:
                raise ValueError(f"gate.{metric}: has neither low nor high; give one of them")
            if bounds.low is not None and bounds.high is not None and bounds.low > bounds.high:
                raise ValueError(
                    f"gate.{metric}: low {bounds.low:g} is above high {bounds.high:g}; exchange them"
                )
        return self


def digest(content: object) -> str:
    """First 12 hexadecimal digits of the sha256 of `content` as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
