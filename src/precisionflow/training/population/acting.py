"""The agent of one cell."""

from pathlib import Path

from torch import Tensor

from precisionflow.config import Experiment
from precisionflow.data.episodes import episodes_of
from precisionflow.data.streams import Stream
from precisionflow.results.layout import PreparedSplit, data_folder
from precisionflow.training.engines.engine import Engine
from precisionflow.training.engines.episodes import Episodes
from precisionflow.training.population.cells import CellOf
from precisionflow.training.ranks import Ranks


class Acting:
    """The agent of one cell."""

    def __init__(self, experiment: Experiment, data: Path, cell: CellOf) -> None:
        self.experiment, self.training = experiment, experiment.training
        self.data = PreparedSplit(data_folder(data, experiment, cell.split))
        self.stream = Stream(*cell)
        self.cells = [cell]
        self.validation_rows = [1]

    def open(self, ranks: Ranks, resume: Path | None) -> Engine:  # noqa: ARG002 - one process
        return Episodes(
            self.experiment,
            stream=self.stream,
            train=episodes_of(self.data.part("train")),
            valid=episodes_of(self.data.part("valid")),
            resume=resume,
        )

    def whole(self, cell: CellOf, weights: dict[str, Tensor]) -> dict[str, Tensor]:  # noqa: ARG002
        return weights
