"""Classified sequences: probabilities of the class of a sequence of tokens, and their scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.data.bags import Bags
from precisionflow.data.labelled import Texts
from precisionflow.data.tokens import Bag
from precisionflow.evaluation.classes import Named, score_classes
from precisionflow.evaluation.network import TrainedNetwork
from precisionflow.evaluation.scored import Scored
from precisionflow.evaluation.where_tokens import text_bins
from precisionflow.results.layout import PreparedSplit
from precisionflow.training.batches import Batch, masked


@dataclass(frozen=True)
class ClassPredictor(TrainedNetwork):
    """Sequences of tokens in, probabilities of their classes out."""

    predicts: ClassVar = "classes of texts"

    def log_probabilities(self, texts: Sequence[Sequence[Bag]]) -> Float[np.ndarray, "sequences classes"]:
        """log p(class) of the tokens of each text, in nats; ValueError for no text and for one without tokens."""
        bags = Bags.of(texts)
        if not len(bags) or not bags.lengths.min():
            raise ValueError(
                f"texts of {bags.lengths.tolist()} tokens; give at least one, each with at least one token"
            )
        inputs, mask = masked(*bags.padded(np.arange(len(bags))))
        return self.predict(Batch(inputs, torch.zeros(len(inputs), dtype=torch.int64), mask)).numpy()

    def predict(self, batch: Batch) -> Float[Tensor, "sequences classes"]:
        """log softmax of the logits of every sequence of a batch, float64 on the CPU."""
        given = batch.to(self.device)
        with torch.no_grad():
            return self.model(given.inputs, given.mask).double().log_softmax(-1).cpu()

    def score(self, experiment: Experiment, data: Path) -> Scored:
        """The test sequences' class probabilities and all their metrics, before and after temperature."""
        row = Texts.read(PreparedSplit(data).part("test")).rows
        named = Named(self.data_card.class_names, lambda _: text_bins(data))
        measure = attrgetter("metrics")
        return score_classes(self.predict, experiment, data, row=row, measure=measure, named=named)
