"""The task of acting in a world that is seen in part."""

from typing import ClassVar, Literal

from precisionflow.config.agents import Agent
from precisionflow.config.base import Count
from precisionflow.config.likelihoods import ExpectedFreeEnergy
from precisionflow.config.source import Splits
from precisionflow.config.tasks.without_labels import WithoutLabels
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


class Planning(WithoutLabels):
    """Act in a world that is seen in part: episodes whose chances follow from (seed, split, episode)."""

    networks: ClassVar = (Agent,)
    likelihoods: ClassVar = (ExpectedFreeEnergy,)
    several_splits: ClassVar[Splits] = "none"
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
