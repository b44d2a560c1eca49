"""Engines under training: one process, many networks as one program, DeepSpeed's ranks."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import Config, Count, Flag
from precisionflow.config.learning import Backpropagation, PredictiveCoding
from precisionflow.config.optimiser import AdamW, Muon


class TorchEngine(Config):
    """One process, plain torch."""

    learnings: ClassVar = (Backpropagation, PredictiveCoding)
    """Ways of learning that it offers."""
    optimisers: ClassVar = (AdamW, Muon)
    """Optimisers that it can run."""
    accumulates: ClassVar = True
    """Whether it can take a batch in parts."""
    kind: Literal["torch"] = "torch"
    dtype: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: by autocast; weights stay float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU (CUDA or ROCm) where there is one, else the CPU."""
    compile: Flag = False
    """Layers are compiled by torch, which takes a while before the first step; on a CPU it needs a C++ compiler."""


class BatchedEngine(Config):
    """One process; all seeds, splits and ensemble members of a variant train as one tensor program."""

    learnings: ClassVar = (Backpropagation,)
    optimisers: ClassVar = (AdamW,)
    accumulates: ClassVar = False
    kind: Literal["batched"] = "batched"
    dtype: Literal["float32"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"


class DeepSpeedEngine(Config):
    """DeepSpeed ZeRO on 1..N ranks: gloo between CPU processes, nccl or rccl between GPUs."""

    learnings: ClassVar = (Backpropagation, PredictiveCoding)
    accumulates: ClassVar = True
    kind: Literal["deepspeed"] = "deepspeed"
    zero_stage: Literal[0, 1, 2, 3] = 1
    ranks: Count = 1
    """Processes in all, one for each GPU where there are any."""
    nodes: Count = 1
    """Machines that the ranks are spread over, an equal number on each; on a laptop all of them run on it."""
    pipeline_stages: Count = 1
    """Parts of the network, consecutive layers each, on ranks of their own; training.accumulate parts of a batch pass
    through them one behind the other. 1: every rank has all layers."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @property
    def optimisers(self) -> tuple[type[Config], ...]:
        """Optimisers that it can run: stages 1 to 3 cut the weights into flat pieces, and Muon needs whole matrices."""
        return (AdamW,) if self.zero_stage else (AdamW, Muon)

    @property
    def replicas(self) -> int:
        """Ranks, or pipelines of ranks, that a batch is shared among."""
        return self.ranks // self.pipeline_stages

    @model_validator(mode="after")
    def _nodes_are_alike(self) -> Self:
        if self.ranks % self.nodes:
            raise ValueError(
                f"engine.ranks {self.ranks} is not a multiple of engine.nodes {self.nodes}; "
                "every node takes an equal share"
            )
        return self

    @model_validator(mode="after")
    def _stages_are_alike(self) -> Self:
        if self.ranks % self.pipeline_stages:
            raise ValueError(
                f"engine.ranks {self.ranks} is not a multiple of engine.pipeline_stages {self.pipeline_stages}; "
                "every stage has equally many ranks"
            )
        if self.pipeline_stages > 1 and self.zero_stage:
            raise ValueError(
                f"engine.zero_stage {self.zero_stage} cuts an optimiser into pieces that engine.pipeline_stages "
                f"{self.pipeline_stages} needs whole; use engine.zero_stage 0"
            )
        return self


Engine = Annotated[TorchEngine | BatchedEngine | DeepSpeedEngine, Field(discriminator="kind")]
