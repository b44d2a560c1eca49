"""Labelled rows of a prepared part for models from outside: of a table, or texts as counts of their ids."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from precisionflow.config.tasks import SequenceClassification
from precisionflow.data.bags import Bags
from precisionflow.data.batches import Rows
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import SEQUENCES


@dataclass(frozen=True)
class Texts:
    """Classified texts."""

    rows: Int[np.ndarray, "rows"]
    """Index of each text in the source."""
    target: Int[np.ndarray, "rows"]
    """Index of the class."""
    bags: Bags
    weight: Float[np.ndarray, "rows"] | None = None
    """Every text counts alike."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The texts in a validated `<part>.parquet`."""
        table = read_parquet(path, SEQUENCES)
        return cls(table["row"].to_numpy(), table["target"].to_numpy(), Bags.read(table["tokens"]))

    def __len__(self) -> int:
        return len(self.rows)

    def counts(self, size: int) -> csr_array:
        """How often each of `size` ids stands in each text: (texts, ids), sparse."""
        text = np.repeat(np.arange(len(self)), self.bags.lengths)
        of_id = np.repeat(text, np.diff(self.bags.bags))
        return csr_array((np.ones(len(of_id)), (of_id, self.bags.ids)), shape=(len(self), size))


Labelled = Rows | Texts


def labelled(task: Any, path: Path) -> Labelled:
    """The rows in `<part>.parquet` of a task."""
    return Texts.read(path) if isinstance(task, SequenceClassification) else Rows.read(path)
