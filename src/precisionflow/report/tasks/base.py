"""What every task gives to the report: tables of its metrics, figures of its calibration."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from precisionflow.ablation.design import Variant
from precisionflow.config import Experiment
from precisionflow.report.pictures import Key, Picture
from precisionflow.report.tables import Table

Truth = Callable[..., tuple[np.ndarray, ...]]
"""x -> mean and std of the distribution that the targets were drawn from."""


@dataclass(frozen=True)
class FinerScores:
    """Metrics that have a table of their own."""

    title: str
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Calibration:
    """Figures of the calibration on one data set, and how to read them."""

    note: str
    pictures: tuple[Picture, ...]
    tables: tuple[Table, ...] = ()
    """Finer tables of the variants."""
    legend: tuple[Key, ...] = ()
    """The variants, where one figure shows several."""


@dataclass(frozen=True)
class TaskReport(ABC):
    """The task's part of the report on one data set."""

    experiment: Experiment
    variants: tuple[Variant, ...]
    folders: Mapping[str, Sequence[Path]]
    """Variant's name -> its evaluated cells."""

    @abstractmethod
    def finer(self, metrics: Sequence[str], *, dataset: str) -> list[FinerScores]:
        """Those of `metrics` that have tables of their own, with the title of each."""

    @abstractmethod
    def calibration(self, *, name: str) -> Calibration:
        """The figures; their ids start with `name`."""

    @property
    @abstractmethod
    def truths(self) -> dict[str, Truth]:
        """Variant's name -> the distribution that its targets were drawn from, where that is known."""
