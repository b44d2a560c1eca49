"""The experiment: one YAML file, resolved and validated once."""

import hashlib
import json
from typing import Annotated, Self

from pydantic import Field, model_validator

from precisionflow.config import compatibility
from precisionflow.config.ablation import Ablation, Bounds
from precisionflow.config.analyses import Analysis
from precisionflow.config.base import Config, Label, Name, Seed
from precisionflow.config.cluster import Cluster
from precisionflow.config.engine import Engine, TorchEngine
from precisionflow.config.evaluation import Evaluation
from precisionflow.config.learning import Backpropagation, Learning
from precisionflow.config.likelihoods import Objective
from precisionflow.config.networks import Model, ensemble_of, unmeasured
from precisionflow.config.tasks import Task
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
    """One training run for each seed, which with split and member decides initial weights and all draws."""
    splits: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    """Cuts of the data into training, validation and test rows."""
    ablation: Ablation = Ablation()
    analysis: Analysis | None = None
    """Lays out the variants in place of the ablation's axes, and is answered in tables and a section of its own."""
    variant: Label = "default"
    """Which combination of the ablation's levels this is; set by the expansion of the axes."""
    called: Label | None = None
    """What `ablation.datasets` calls the data set, where two of its sources have one name; set by the expansion."""

    @property
    def dataset(self) -> str:
        """Name of the data set in tables."""
        return self.called or self.task.source.dataset

    @property
    def hash(self) -> str:
        """sha256 (12 hexadecimal digits) of the resolved configuration without its cluster settings."""
        return digest(self.model_dump(mode="json", exclude={"cluster"}))

    @property
    def metrics(self) -> tuple[str, ...]:
        """What evaluation measures; <metric>_after_<method> is the same of recalibrated predictions."""
        measured = self.task.measured(self.evaluation)
        return tuple(name for name in measured if not name.startswith(unmeasured(self.model)))

    @property
    def holds_out_validation(self) -> bool:
        """Whether an ensemble with folds trains on training rows alone: where its recalibrations need the others."""
        ensemble = ensemble_of(self.model)
        return ensemble is not None and ensemble.folds is not None and bool(self.evaluation.recalibration)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        compatibility.check(self)
        return self


def digest(content: object) -> str:
    """First 12 hexadecimal digits of the sha256 of `content` as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
