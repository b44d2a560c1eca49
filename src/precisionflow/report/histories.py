"""What was measured while the runs of a variant trained, as columns over all runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from precisionflow.records.files import read_together
from precisionflow.records.schemas import HISTORY
from precisionflow.results.layout import TrainedCell


@dataclass(frozen=True)
class Measured:
    """One metric: values by run, in each by step, which comes once."""

    run: Int[np.ndarray, " entries"]
    step: Int[np.ndarray, " entries"]
    value: Float[np.ndarray, " entries"]

    @property
    def starts(self) -> np.ndarray:
        """Place of the first entry of each run that has one."""
        return np.flatnonzero(np.diff(self.run, prepend=-1))

    @property
    def last(self) -> np.ndarray:
        """The last value of each run that has one."""
        return self.value[[*(self.starts[1:] - 1), -1]] if len(self.run) else self.value


@dataclass(frozen=True)
class Histories:
    """The histories of some runs."""

    runs: int
    metrics: dict[str, Measured] = field(default_factory=dict)

    def of(self, metric: str) -> Measured:
        """The values of a metric; none where no run has it."""
        none = np.zeros(0, dtype=int)
        return self.metrics.get(metric, Measured(none, none, np.zeros(0)))


def read_histories(folders: Sequence[Path]) -> Histories:
    """The records.schemas.HISTORY of trained cells."""
    table, rows = read_together([TrainedCell(folder).history for folder in folders], HISTORY)
    metric = table["metric"].combine_chunks().dictionary_encode()
    code, step, value = (of.to_numpy() for of in (metric.indices, table["step"], table["value"]))
    run = np.repeat(np.arange(len(rows)), rows)
    found = {
        name: measured(run[of], step[of], value[of])
        for index, name in enumerate(metric.dictionary.to_pylist())
        for of in (np.flatnonzero(code == index),)
    }
    return Histories(len(rows), found)


def measured(run: np.ndarray, step: np.ndarray, value: np.ndarray) -> Measured:
    """Entries in any order; of several at one step of a run the last counts."""
    order = np.lexsort((step, run))
    run, step, value = run[order], step[order], value[order]
    again = (run[1:] == run[:-1]) & (step[1:] == step[:-1])
    kept = np.append(~again, True)[: len(run)]
    return Measured(run[kept], step[kept], value[kept])
