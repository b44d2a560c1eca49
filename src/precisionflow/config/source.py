"""What every source of data says of itself."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from precisionflow.config.base import Config

Splits = Literal["cut", "drawn", "none"]
"""What further splits of a task are: other cuts of the same rows, rows that are drawn anew, or none."""


class Source(Config, ABC):
    """What every source says of itself."""

    known: ClassVar[bool] = False
    """Whether the distribution of a row's target is known exactly."""

    @property
    @abstractmethod
    def dataset(self) -> str:
        """Name of the data set in tables and reports."""

    @property
    def row_tokens(self) -> int:
        """Tokens that a row is the sequence of, each as many features; 1: a row is no sequence."""
        return 1

    @property
    def causes(self) -> int:
        """Tokens of a row that are known to tell the target."""
        return 0

    @property
    def files(self) -> tuple[str, ...]:
        """Files and folders of the user's that it reads, as it names them: what pods need in their workspace."""
        return ()
