"""Classified sequences: probabilities of the class of a sequence of tokens, and their scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from precisionflow.config import Experiment
from precisionflow.data.bags import Bags
from precisionflow.data.labelled import Texts
from precisionflow.data.tokens import Bag
from precisionflow.evaluation.classes import (
    HoldsOut,
    Named,
    StatedTargets,
    calibration_targets,
    score_classes,
)
from precisionflow.evaluation.network import TextNetwork
from precisionflow.evaluation.scored import Scored
from precisionflow.evaluation.tasks.classification import Stated
from precisionflow.evaluation.where_tokens import text_bins
from precisionflow.models.likelihoods.categorical import Voices
from precisionflow.results.layout import PreparedSplit
from precisionflow.training.batches import Batch, masked

AT_ONCE = 64
"""Texts that the network is given at once."""


@dataclass(frozen=True)
class ClassPredictor(TextNetwork, HoldsOut):
    """Sequences of tokens in, probabilities of their classes out."""

    predicts: ClassVar = "classes of texts"

    def stated(self, texts: Sequence[Sequence[Bag]]) -> Stated:
        """What is stated of the tokens of each text; ValueError for no text and for one without tokens."""
        bags = Bags.of(texts)
        if not len(bags) or not bags.lengths.min():
            raise ValueError(
                f"texts of {bags.lengths.tolist()} tokens; give at least one, each with at least one token"
            )
        parts = []
        for chosen in np.split(np.arange(len(bags)), range(AT_ONCE, len(bags), AT_ONCE)):
            inputs, mask = masked(*bags.padded(chosen))
            parts.append(self.predict(Batch(inputs, torch.zeros(len(inputs), dtype=torch.int64), mask)))
        return Stated.of(Voices(torch.cat([part.logits for part in parts])))

    def held_out(self, experiment: Experiment, data: Path) -> StatedTargets:
        """What is stated of the validation targets, of some where they are many."""
        return calibration_targets(self.predict, experiment, data)

    def score(self, experiment: Experiment, data: Path, *, beside: Sequence[StatedTargets] = ()) -> Scored:
        """The test sequences' class probabilities and all their metrics, before and after recalibration."""
        row = Texts.read(PreparedSplit(data).part("test")).rows
        named = Named(self.data_card.class_names, lambda _: text_bins(data))
        measure = attrgetter("metrics")
        return score_classes(
            self.predict, experiment, data, row=row, measure=measure, named=named, beside=beside
        )
