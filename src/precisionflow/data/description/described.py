"""A description of a file: what was read of it, what to look at, what is proposed."""

from dataclasses import dataclass
from typing import Any

from precisionflow.data.description.column import Described


@dataclass(frozen=True)
class Description:
    """A file, as far as it was looked at."""

    summary: str
    columns: tuple[Described, ...]
    problems: tuple[str, ...]
    """What is wrong, and what was read off the file."""
    task: dict[str, Any] | None
    """Block for an experiment; none where no task fits."""
    said: str
    """What the block predicts, or why there is none."""
