"""Synthetic sequences: scores of the predicted classes, beside those of the best possible predictor."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.config.tasks import Synthetic
from precisionflow.data.bags import Bags
from precisionflow.data.sources.synthetic.drawn import Drawn
from precisionflow.data.tasks.synthetic import drawn_part
from precisionflow.data.tokens import Bag
from precisionflow.evaluation.classes import ClassScores, score_classes
from precisionflow.evaluation.network import TrainedNetwork
from precisionflow.evaluation.scored import Scored
from precisionflow.models.attention.observed import has_edges, observed
from precisionflow.records.cards import Optimum
from precisionflow.results.layout import PreparedSplit
from precisionflow.training.batches import Batch, masked, part_batches


@dataclass(frozen=True)
class SyntheticPredictor(TrainedNetwork):
    """Sequences of symbols in, probabilities of what the source hides out."""

    predicts: ClassVar = "what a synthetic source hides"

    def log_probabilities(
        self, sequences: Sequence[Sequence[Bag]]
    ) -> list[Float[np.ndarray, "_places classes"]]:
        """log p(class) at every token of each sequence, in nats; one row where a sequence has one class."""
        bags = Bags.of(sequences)
        inputs, mask = masked(*bags.padded(np.arange(len(bags))))
        stated = self.predict(Batch(inputs, torch.zeros(len(inputs), dtype=torch.int64), mask)).numpy()
        if stated.ndim == 2:
            return list(stated[:, None])
        return [row[:length] for row, length in zip(stated, bags.lengths, strict=True)]

    def predict(self, batch: Batch) -> Float[Tensor, "sequences *places classes"]:
        """log softmax of the logits, float64 on the CPU."""
        given = batch.to(self.device)
        with torch.no_grad():
            return self.model(given.inputs, given.mask).double().log_softmax(-1).cpu()

    def score(self, experiment: Experiment, data: Path) -> Scored:
        """The test targets' probabilities and all their metrics, before and after temperature.

        `row` is the number of the target among all of the part. ValueError for a part that is not the source's.
        """
        task = experiment.task
        assert isinstance(task, Synthetic)
        drawn, kind, optimum = drawn_part(task, "test"), task.source.kind, self.data_card.optimum
        targets = drawn.target[drawn.counted]
        assert optimum is not None

        def measure(scores: ClassScores) -> dict[str, float]:
            if not np.array_equal(scores.table["target"].to_numpy(), targets):
                raise ValueError(f"{data}: its test part is not what {kind} draws here; prepare it again")
            return synthetic_metrics(scores, drawn, optimum)

        row = np.arange(len(targets))
        scored = score_classes(self.predict, experiment, data, row=row, measure=measure)
        if drawn.cause is None:
            return scored
        return scored._replace(metrics=scored.metrics | self.of_attention(experiment, data, drawn))

    def of_attention(self, experiment: Experiment, data: Path, drawn: Drawn) -> dict[str, float]:
        """attention_on_cause, attended_keys: means over targets, in the head where the first is largest.

        The share of the cause in what the target gets; exp of the entropy of the shares, how many keys count. Nothing
        of a network without edges between tokens.
        """
        assert drawn.cause is not None
        if not has_edges(self.model):
            return {}
        first, sums = 0, torch.zeros(())
        for batch in part_batches(experiment, PreparedSplit(data).part("test")):
            given = batch.to(self.device)
            cause = torch.from_numpy(drawn.cause[first : first + len(given.inputs)]).to(self.device)
            first += len(given.inputs)
            row, query = torch.nonzero(cause >= 0, as_tuple=True)
            with torch.no_grad(), observed(self.model) as looks:
                self.model(given.inputs, given.mask)
                shares = torch.stack([look.shares()[row, :, query] for look in looks])
            masses = shares[:, torch.arange(len(row)), :, cause[row, query]].sum(0)
            keys = torch.special.entr(shares).sum(-1).exp().sum(1)
            sums = sums + torch.stack([masses, keys]).cpu()
        on_cause, attended = (sums / (drawn.cause >= 0).sum()).flatten(1)
        head = on_cause.argmax()
        return {"attention_on_cause": float(on_cause[head]), "attended_keys": float(attended[head])}


def synthetic_metrics(scores: ClassScores, drawn: Drawn, optimum: Optimum) -> dict[str, float]:
    """Metrics of class probabilities and three beside the optimum.

    excess_nll: nll less that of the exact predictor on the same targets, in nats; its expectation is the mean
    Kullback-Leibler divergence of the model from the source. excess_error: the optimum's accuracy less the model's.
    sequence_accuracy: share of the sequences whose targets are all the model's most probable classes.
    """
    metrics = scores.metrics
    sequence = np.nonzero(drawn.counted)[0]
    correct = np.concatenate([part["correct"] for part in scores.columns])
    wrong = np.zeros(len(drawn.target), dtype=bool)
    wrong[sequence[~correct]] = True
    return metrics | {
        "excess_nll": metrics["nll"] - optimum.nll,
        "excess_error": optimum.accuracy - metrics["accuracy"],
        "sequence_accuracy": float(1 - wrong[np.unique(sequence)].mean()),
    }
