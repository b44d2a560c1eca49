"""Networks of one cell, each in an engine of single networks."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import assert_never

from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.config.engine import BatchedEngine, DeepSpeedEngine, TorchEngine
from precisionflow.config.networks import Generative
from precisionflow.data.batches import Rows
from precisionflow.data.streams import Stream
from precisionflow.inference.predictive_coding.generative import generative_model
from precisionflow.models.likelihoods.objective import objective
from precisionflow.models.networks.layered import Fitted, Layered
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import PreparedSplit, data_folder
from precisionflow.training.batches import part_batches, training_batches
from precisionflow.training.engines.engine import Engine
from precisionflow.training.engines.several import Several
from precisionflow.training.engines.single import Feed
from precisionflow.training.engines.torch_engine import Torch
from precisionflow.training.population.cells import CellOf, learned_from, network, seeded
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules.generative import GenerativeLearner
from precisionflow.training.rules.learner import Learner, learner
from precisionflow.training.schedule import of_rows


class Single:
    """One network, for an engine of single networks; of an ensemble, one of its members."""

    def __init__(self, experiment: Experiment, data: Path, cell: CellOf, *, member: int = 0) -> None:
        self.experiment = experiment
        self.stream = Stream(*cell, member)
        self.data = PreparedSplit(data_folder(data, experiment, cell.split))
        self.card = read_card(self.data.card, DatasetCard)
        self.training = of_rows(experiment.training, learned_from(experiment, self.card))
        self.cells = [cell]
        self.validation_rows = [1]

    def open(self, ranks: Ranks, resume: Path | None) -> Engine:
        experiment = self.experiment
        learner = self._learner(ranks)
        stream, training, engine = self.stream, self.training, experiment.engine
        shares = ranks.shares(engine.pipeline_stages) if isinstance(engine, DeepSpeedEngine) else ranks
        feed = Feed(
            training_batches(experiment, self.data.folder, training=training, stream=stream, ranks=shares),
            part_batches(experiment, self.data.part("valid")),
        )
        match experiment.engine:
            case TorchEngine() as config:
                return Torch(learner, config, training, feed, ranks, resume=resume)
            case DeepSpeedEngine(pipeline_stages=1) as config:
                from precisionflow.training.engines.deepspeed_engine import DeepSpeed

                return DeepSpeed(learner, config, training, feed, ranks, resume=resume)
            case DeepSpeedEngine() as config:
                assert isinstance(learner, Learner), "a model of images settles all layers at once"
                _require_layers(learner.model, config)
                from precisionflow.training.engines.pipeline_engine import Pipeline

                return Pipeline(learner, config, training, feed, ranks, resume=resume)
            case BatchedEngine():
                raise TypeError("networks that train at once are no engine of one network")
            case _:
                assert_never(experiment.engine)

    def _learner(self, ranks: Ranks) -> Learner | GenerativeLearner:
        experiment = self.experiment
        if isinstance(experiment.model, Generative):
            images = seeded(self.stream, lambda: generative_model(experiment, self.card))
            return GenerativeLearner(images, total=ranks.sum)
        model = seeded(self.stream, lambda: network(experiment, self.card))
        for part in (model.inputs, *model.layers):
            if isinstance(part, Fitted):
                part.fit(Rows.read(self.data.part("train")).features)
        return learner(
            model,
            objective(experiment.objective),
            experiment.learning,
            dtype=experiment.engine.dtype,
            total=ranks.sum,
        )

    def whole(self, cell: CellOf, weights: dict[str, Tensor]) -> dict[str, Tensor]:  # noqa: ARG002
        return weights


def _require_layers(model: Layered, config: DeepSpeedEngine) -> None:
    layers = len(model.layers) + 1
    if layers < config.pipeline_stages:
        raise ValueError(
            f"engine.pipeline_stages: {config.pipeline_stages} stages of a network of {layers} layers, its readout "
            "included; use fewer"
        )


class SideBySide:
    """The members of an ensemble, each in an engine of single networks."""

    def __init__(self, members: Sequence[Single]) -> None:
        self.members = members
        self.training = members[0].training
        self.cells = [cell for member in members for cell in member.cells]
        self.validation_rows = [rows for member in members for rows in member.validation_rows]

    def open(self, ranks: Ranks, resume: Path | None) -> Engine:
        return Several([partial(member.open, ranks) for member in self.members], resume=resume)

    def whole(self, cell: CellOf, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.members[0].whole(cell, weights)
