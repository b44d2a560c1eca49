"""NextToken: probabilities of the next token of a text, and their scores."""

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.config.tasks import NextToken
from precisionflow.data.tokens.running import RunningTokeniser, ids_of, restored_running
from precisionflow.evaluation.classes import ClassScores, score_classes
from precisionflow.evaluation.inspection import attention_table, edges_table, first_windows, sharpest_head
from precisionflow.evaluation.network import TrainedNetwork
from precisionflow.evaluation.scored import Scored
from precisionflow.models.likelihoods.categorical import log_probabilities
from precisionflow.records.cards import DatasetCard, TextSize
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import TOKENS
from precisionflow.results.layout import PreparedSplit
from precisionflow.training.batches import Batch

LARGEST_EXPONENT = 700.0
"""Largest negative log-likelihood whose perplexity is a float64."""


@dataclass(frozen=True)
class TokenPredictor(TrainedNetwork):
    """Texts in, probabilities of the next token out."""

    predicts: ClassVar = "tokens of a text"

    @functools.cached_property
    def task(self) -> NextToken:
        """What it was trained for."""
        task = self.experiment_card.experiment.task
        assert isinstance(task, NextToken)
        return task

    @functools.cached_property
    def tokeniser(self) -> RunningTokeniser:
        """Texts as the tokens that it was trained on."""
        return restored_running(self.task.tokens, self.data_card.known)

    def tokens(self, text: str) -> Int32[np.ndarray, "tokens"]:
        """The tokens of a text; ValueError for none, and for one that the model never saw and has no name for."""
        ids = ids_of(self.tokeniser, text)
        if not len(ids):
            raise ValueError(f"text has no {self.task.tokens.plural}; give at least one")
        return ids

    def log_probabilities(self, text: str) -> Float[np.ndarray, "tokens vocabulary"]:
        """log p(next token) after each token of `text`, in nats."""
        return np.concatenate(list(self.windows(self.tokens(text))))

    def windows(
        self, tokens: Int32[np.ndarray, "tokens"]
    ) -> Iterator[Float[np.ndarray, "window vocabulary"]]:
        """log p(next token) after each of the `tokens`, a window of the trained context at a time, in nats.

        A token is predicted from those before it in its window.
        """
        for window in torch.from_numpy(tokens.astype(np.int64)).split(self.task.context):
            yield self.token_log_probabilities(window[None])[0].numpy()

    def token_log_probabilities(self, inputs: Tensor) -> Float[Tensor, "windows tokens vocabulary"]:
        """log softmax of the logits, float64 on the CPU."""
        with torch.no_grad():
            return log_probabilities(self.model(inputs.to(self.device))).cpu()

    def score(self, experiment: Experiment, data: Path) -> Scored:
        """The test tokens' probabilities and all their metrics, before and after temperature.

        `row` is the position of the target in the part.
        """
        files = PreparedSplit(data)
        size = read_card(files.card, DatasetCard).text["test"]
        tokens = read_parquet(files.part("test"), TOKENS)["token"].to_numpy()
        scored = score_classes(
            self.predict,
            experiment,
            data,
            row=np.arange(1, len(tokens)),
            measure=lambda scores: text_metrics(scores, size),
        )
        if not experiment.evaluation.inspect:
            return scored
        windows = first_windows(tokens, context=self.task.context)
        attention = self.attention(windows)
        layer, head = sharpest_head(attention)
        return scored._replace(attention=attention, edges=self.edges(windows[0], layer=layer, head=head))

    def attention(self, windows: Iterable[Int[Tensor, "_windows _tokens"]]) -> pa.Table:
        """A records.schemas.ATTENTION of some windows of tokens."""
        batches = (batch.to(self.device) for batch in windows)
        return attention_table(self.model, batches, symbols=self.symbols)

    def edges(self, windows: Int[Tensor, "_windows _tokens"], *, layer: int, head: int) -> pa.Table:
        """A records.schemas.EDGES of one head at the beginning of the first window."""
        return edges_table(self.model, windows.to(self.device), symbols=self.symbols, layer=layer, head=head)

    @functools.cached_property
    def symbols(self) -> list[str]:
        """The text of every token of the vocabulary."""
        return [self.tokeniser.text([token]) for token in range(self.data_card.known.ids)]

    def predict(self, batch: Batch) -> Float[Tensor, "windows tokens vocabulary"]:
        """log p(next token) at every place of a batch."""
        return self.token_log_probabilities(batch.inputs)


def text_metrics(scores: ClassScores, size: TextSize) -> dict[str, float]:
    """All metrics of a text: those of class probabilities, and the bits of all tokens over its characters and bytes."""
    metrics = scores.metrics
    bits = metrics["nll"] * scores.count / math.log(2)
    return {
        "nll": metrics["nll"],
        "perplexity": math.exp(min(metrics["nll"], LARGEST_EXPONENT)),
        "bits_per_character": bits / size.characters,
        "bits_per_byte": bits / size.bytes,
    } | metrics
