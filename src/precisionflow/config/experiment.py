"""The experiment: one YAML file, resolved and validated once."""

import hashlib
import json
from typing import Annotated, Self

from pydantic import Field, model_validator

from precisionflow.config.ablation import Ablation, Seeds
from precisionflow.config.base import Label, Part
from precisionflow.config.engine import DeepSpeedEngine, Engine, TorchEngine, Training
from precisionflow.config.model import Causal, MeanPrecisionNetwork, Model, Transformer
from precisionflow.config.objective import Backpropagation, CrossEntropy, GaussianNLL, Learning, Objective
from precisionflow.config.task import Characters, Regression, Task

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=50)]


class Evaluation(Part):
    """How predictions are scored."""

    levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.8, 0.9, 0.95)
    """Nominal levels of the central intervals whose coverage and width are measured."""
    bins: Annotated[int, Field(ge=2)] = 15
    """Equal-width confidence bins of the expected calibration error."""


class Experiment(Part):
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
    seeds: Seeds = (0,)
    """One training run for each seed (initial weights, order of batches)."""
    splits: Seeds = (0,)
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
        """sha256 (12 hexadecimal digits) of the resolved configuration."""
        return digest(self.model_dump(mode="json"))

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        match self.task:
            case Regression():
                fitting: tuple[type[Part], type[Part]] = (MeanPrecisionNetwork, GaussianNLL)
            case Characters():
                fitting = (Transformer, CrossEntropy)
        for field, part, expected in zip(("model", "objective"), (self.model, self.objective), fitting, strict=True):
            if not isinstance(part, expected):
                allowed = expected.model_fields["kind"].default
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
                f"training.batch_size {self.training.batch_size} is not a multiple of engine.ranks {self.engine.ranks}; "
                "every rank takes an equal share"
            )
        if len(set(self.seeds)) < len(self.seeds) or len(set(self.splits)) < len(self.splits):
            raise ValueError(f"seeds {list(self.seeds)} or splits {list(self.splits)} name one number twice")
        return self


def digest(content: object) -> str:
    """First 12 hexadecimal digits of the sha256 of `content` as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
