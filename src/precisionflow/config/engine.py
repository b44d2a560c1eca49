"""How training runs: the optimiser's settings and the machinery under it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import Count, Fraction, NonNegative, Part, Positive, Whole


class Training(Part):
    """AdamW over a fixed number of steps, with early stopping on the validation loss."""

    steps: Count = 300
    batch_size: Count = 32
    """Rows or sequences of one step, over all ranks."""
    learning_rate: Positive = 1e-3
    weight_decay: NonNegative = 0.0
    warmup_steps: Whole = 0
    """Steps over which the learning rate rises linearly from 0."""
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    """Learning rate after the warm-up; cosine falls to a tenth at the last step. one_cycle: rises linearly from 0 over
    the first tenth of the steps and falls to 0 by a cosine."""
    gradient_clip: Positive | None = 1.0
    """Largest global norm of the gradient; none: not clipped."""
    average: Fraction | None = None
    """Decay of a running mean of the weights, which is what is validated and kept; none: the weights themselves.
    The mean at step t moves by 1 - min(average, (t + 1) / (t + 10)). Engine batched."""
    validate_every: Count = 50
    patience: Count | None = None
    """Validations without a new best before training stops and the best weights are kept; none: last weights."""
    checkpoint_every: Count | None = None
    """Steps between checkpoints; none: at every tenth of the steps."""

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup_steps >= self.steps:
            raise ValueError(
                f"training.warmup_steps {self.warmup_steps} leaves no step of training.steps {self.steps}; "
                "make it smaller"
            )
        return self


class TorchEngine(Part):
    """One process, plain torch."""

    kind: Literal["torch"] = "torch"
    dtype: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: by autocast; weights stay float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU (CUDA or ROCm) where there is one, else the CPU."""


class BatchedEngine(Part):
    """One process; all seeds, splits and ensemble members of a variant train as one tensor program."""

    kind: Literal["batched"] = "batched"
    dtype: Literal["float32"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"


class DeepSpeedEngine(Part):
    """DeepSpeed ZeRO on 1..N ranks: gloo between CPU processes, nccl or rccl between GPUs."""

    kind: Literal["deepspeed"] = "deepspeed"
    zero_stage: Literal[0, 1, 2, 3] = 1
    ranks: Count = 1
    """Processes in all, one for each GPU where there are any."""
    nodes: Count = 1
    """Machines that the ranks are spread over, an equal number on each; on a laptop all of them run on it."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _nodes_are_alike(self) -> Self:
        if self.ranks % self.nodes:
            raise ValueError(
                f"engine.ranks {self.ranks} is not a multiple of engine.nodes {self.nodes}; "
                "every node takes an equal share"
            )
        return self


Engine = Annotated[TorchEngine | BatchedEngine | DeepSpeedEngine, Field(discriminator="kind")]
