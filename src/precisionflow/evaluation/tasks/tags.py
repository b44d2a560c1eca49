"""Tagged sentences: probabilities of the tag of every word, and their scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from precisionflow.config import Experiment
from precisionflow.config.tasks import Tagging
from precisionflow.data.bags import Bags
from precisionflow.data.labelled import Words
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
from precisionflow.evaluation.where_tokens import word_bins
from precisionflow.models.likelihoods.categorical import Voices
from precisionflow.results.layout import PreparedSplit
from precisionflow.training.batches import Batch, masked


@dataclass(frozen=True)
class TagPredictor(TextNetwork, HoldsOut):
    """Sentences of words in, probabilities of the words' tags out."""

    predicts: ClassVar = "tags of words"

    def stated(self, sentences: Sequence[Sequence[Bag]]) -> list[Stated]:
        """What is stated of the words of each sentence.

        ValueError for no sentence, for one without words, and for one that is longer than the trained context.
        """
        bags = Bags.of(sentences)
        if not len(bags) or not bags.lengths.min():
            raise ValueError(
                f"sentences of {bags.lengths.tolist()} words; give at least one, each with at least one word"
            )
        task = self.experiment_card.experiment.task
        assert isinstance(task, Tagging)
        if bags.lengths.max() > task.context:
            raise ValueError(
                f"a sentence of {bags.lengths.max()} words is longer than the model's context {task.context}; cut it"
            )
        inputs, mask = masked(*bags.padded(np.arange(len(bags))))
        voices = self.predict(Batch(inputs, torch.zeros(inputs.shape[:2], dtype=torch.int64), mask))
        each = zip(voices.logits, bags.lengths, strict=True)
        return [Stated.of(Voices(logits[:length])) for logits, length in each]

    def held_out(self, experiment: Experiment, data: Path) -> StatedTargets:
        """What is stated of the validation targets, of some where they are many."""
        return calibration_targets(self.predict, experiment, data)

    def score(self, experiment: Experiment, data: Path, *, beside: Sequence[StatedTargets] = ()) -> Scored:
        """The test words' tag probabilities and all their metrics, before and after recalibration."""
        row, names = Words.read(PreparedSplit(data).part("test")).rows, self.data_card.class_names
        named = Named(names, lambda predicted: word_bins(data, predicted, names))
        measure = attrgetter("metrics")
        return score_classes(
            self.predict, experiment, data, row=row, measure=measure, named=named, beside=beside
        )
