"""The optimiser's settings: steps, schedule, stopping."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Config, Count, Fraction, NonNegative, Positive, Whole
from precisionflow.config.optimiser import AdamW, Groups, Optimiser


class Training(Config):
    """Optimiser steps, whose number may follow the rows, with early stopping on the validation loss."""

    steps: Count = 300
    """Optimiser steps; with `epochs` the fewest."""
    epochs: Positive | None = None
    """Passes through the rows (of a text: windows) that a network learns from, as many at least as `largest_batch` and
    `most_steps` allow; none: `steps` of `batch_size` whatever the rows."""
    most_steps: Count | None = None
    """With `epochs`, the most steps; none: as many as they need."""
    batch_size: Count = 32
    """Rows or sequences of one step, over all ranks."""
    largest_batch: Count | None = None
    """With `epochs`, how large a batch becomes, in multiples of batch_size, before the steps grow; none: it stays."""
    accumulate: Count = 1
    """Parts that each rank's share of a batch is taken in, one after the other: less memory, the same step."""
    optimiser: Optimiser = AdamW()
    learning_rate: Positive = 1e-3
    weight_decay: NonNegative = 0.0
    groups: Groups = Groups()
    warmup_steps: Whole = 0
    """Steps over which the learning rate rises linearly from 0."""
    schedule: Literal["constant", "cosine", "one_cycle", "warmup_stable_decay"] = "constant"
    """Learning rate after the warm-up; cosine falls to a tenth at the last step. one_cycle: rises linearly from 0 over
    the first tenth of the steps and falls to 0 by a cosine. warmup_stable_decay: stays, then falls linearly to 0."""
    decay_share: Annotated[float, Field(gt=0, le=1), NUMBER] = 0.5
    """Share of the steps, the last ones, over which warmup_stable_decay falls."""
    gradient_clip: Positive | None = 1.0
    """Largest global norm of the gradient; none: not clipped."""
    average: Fraction | None = None
    """Decay of a running mean of the weights, which is what is validated and kept; none: the weights themselves.
    The mean at step t moves by 1 - min(average, (t + 1) / (t + 10))."""
    validate_every: Count = 50
    monitor_every: Count | None = None
    """Steps between records: of how errors settle (learning.kind predictive_coding), settling.parquet of every cell,
    its summary in the history; of what attention does with each symbol, attention.parquet. Under engine.zero_stage 3 a
    record has the memory of the whole network on every rank. None: no record."""
    profile: Count | None = None
    """Steps, after the first two of a process, that are timed part by part: forward pass, settling, backward pass,
    optimiser, every layer, communication of ranks; what they took is in the cell's card. None: no such times."""
    patience: Count | None = None
    """Validations without a new best before training stops and the best weights are kept; none: last weights."""
    checkpoint_every: Count | None = None
    """Steps between checkpoints; none: at every tenth of the steps."""

    @property
    def known_steps(self) -> int | None:
        """Number of steps, where it does not depend on the rows."""
        return self.steps if self.epochs is None or self.most_steps == self.steps else None

    @model_validator(mode="after")
    def _limits_bound_something(self) -> Self:
        for name, most, least in (
            ("most_steps", self.most_steps, self.steps),
            ("largest_batch", self.largest_batch, self.batch_size),
        ):
            fewest = "steps" if name == "most_steps" else "batch_size"
            if most is not None and self.epochs is None:
                raise ValueError(f"training.{name} bounds training.epochs, which is not given; give it")
            if most is not None and most < least:
                raise ValueError(
                    f"training.{name} {most} is below training.{fewest} {least}; change one of them"
                )
        return self

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup_steps >= self.steps:
            raise ValueError(
                f"training.warmup_steps {self.warmup_steps} leaves no step of training.steps {self.steps}; "
                "make it smaller"
            )
        return self
