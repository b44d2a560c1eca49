"""The task of acting in a world that is seen in part."""

from typing import ClassVar, Literal

from precisionflow.config.agents import Agent
from precisionflow.config.base import Config, Count
from precisionflow.config.engine import TorchEngine
from precisionflow.config.evaluation import Evaluation
from precisionflow.config.likelihoods import ExpectedFreeEnergy
from precisionflow.config.source import Splits
from precisionflow.config.worlds import TMaze, Worlds

PLANNING_METRICS = (
    "reward",
    "success",
    "information",
    "episode_steps",
    "surprise",
    "state_nll",
    "validation_loss",
)
"""Metrics of the episodes of an agent."""


class Planning(Config):
    """Act in a world that is seen in part: episodes whose chances follow from (seed, split, episode)."""

    networks: ClassVar = (Agent,)
    likelihoods: ClassVar = (ExpectedFreeEnergy,)
    engines: ClassVar = (TorchEngine,)
    recalibrations: ClassVar[tuple[str, ...]] = ()
    several_splits: ClassVar[Splits] = "none"
    causal: ClassVar = False
    predicts_tokens: ClassVar = False
    headline: ClassVar = ("reward", "success", "information")
    metrics: ClassVar = PLANNING_METRICS
    without_zero: ClassVar[tuple[str, ...]] = ()
    kind: Literal["planning"] = "planning"
    source: Worlds = TMaze()
    train: Count = 200
    """Episodes that an agent learns from, each as often as `training` asks for."""
    valid: Count = 100
    """Episodes whose surprise, -ln p(o), is the validation loss."""
    test: Count = 1000
    """Episodes that are scored."""

    def measured(self, evaluation: Evaluation) -> tuple[str, ...]:  # noqa: ARG002 - every evaluation measures them
        """Names of all metrics."""
        return self.metrics
