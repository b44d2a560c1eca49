"""Records of settling, put together over the runs of a variant."""

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
from jaxtyping import Float

from precisionflow.ablation.design import Variant
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import SETTLING
from precisionflow.report.material import Group
from precisionflow.report.wording import Row
from precisionflow.results.layout import TrainedCell

CALIBRATION = ("errors", "pit_error", "coverage_50", "coverage_90", "coverage_95", "dispersion")
"""Columns of records.schemas.SETTLING that say whether a layer's law is true."""


@dataclass(frozen=True)
class Records:
    """The last record of every network of a variant; the last layer is the output."""

    runs: tuple[tuple[Row, ...], ...]
    """Rows of records.schemas.SETTLING, by layers."""

    @property
    def layers(self) -> list[int]:
        """Layers with an error, by their places in the network."""
        return [row["layer"] for row in self.runs[0][:-1]]

    @property
    def energies_of_layers(self) -> Float[np.ndarray, "runs layers_and_output iterations"]:
        """Nats a target before the first iteration and after each; a run that stopped early keeps its last."""
        longest = max(self.iterations) + 1
        return np.array(
            [
                [np.pad(row["energy"], (0, longest - len(row["energy"])), mode="edge") for row in run]
                for run in self.runs
            ]
        )

    @property
    def energies(self) -> Float[np.ndarray, "runs iterations"]:
        """The same of all layers and the output together."""
        return self.energies_of_layers.sum(axis=1)  # type: ignore[no-any-return]

    @property
    def exchanged(self) -> Float[np.ndarray, "layers_and_output iterations"]:
        """Nats a target that each layer's errors have gained since the start, and that the output has lost."""
        means = self.energies_of_layers.mean(axis=0)
        gained: np.ndarray = means - means[:, :1]
        gained[-1] *= -1
        return gained

    @property
    def iterations(self) -> list[int]:
        """Steps on the errors, of each run."""
        return [len(run[0]["energy"]) - 1 for run in self.runs]

    @property
    def cosines(self) -> Float[np.ndarray, "runs layers_and_output"]:
        """Between each layer's gradient and backprop's."""
        return np.array([[row["cosine"] for row in run] for run in self.runs])

    def by_layer(self, column: str) -> Float[np.ndarray, "runs layers"]:
        """Of each run and layer the root of the mean square of the norms, the geometric mean of precisions.

        Of `quadratic_energy` the sum over positions: a Gaussian's energy without its normaliser, which unlike the whole
        is above 0 whatever the precision has learned.
        """
        if column == "quadratic_energy":
            return np.array([[sum(row[column]) for row in run[:-1]] for run in self.runs])
        mean = _root_mean_square if column == "error_norm" else _geometric_mean
        return np.array([[mean(np.array(row[column])) for row in run[:-1]] for run in self.runs])

    def calibrated(self) -> list[tuple[int, Row]]:
        """Layers whose errors have a law, by their places in the rows: means over the runs of their calibration.

        Of precision the geometric mean, over positions and runs.
        """
        first, *_ = self.runs
        return [
            (
                index,
                {name: float(np.mean([run[index][name] for run in self.runs])) for name in CALIBRATION}
                | {"precision": float(_geometric_mean(self._precisions(index)))},
            )
            for index, row in enumerate(first)
            if row["errors"]
        ]

    def _precisions(self, index: int) -> Float[np.ndarray, "runs"]:
        """Geometric mean over positions of each run."""
        return np.array([_geometric_mean(np.array(run[index]["precision"])) for run in self.runs])

    def by_place(self, column: str) -> Float[np.ndarray, "layers places"]:
        """The same means over the runs, at each position that all runs have."""
        mean = _root_mean_square if column == "error_norm" else _geometric_mean
        places = min(len(row[column]) for run in self.runs for row in run[:-1])
        values = np.array([[row[column][:places] for row in run[:-1]] for run in self.runs])
        return mean(values)

    def by_head(self) -> tuple[list[int], Float[np.ndarray, "layers heads"]]:
        """Layers whose heads have a precision each, and these: geometric means over the runs."""
        precise = [
            index
            for index in range(len(self.layers))
            if all(run[index].get("head_precision") for run in self.runs)
        ]
        values = np.array([[run[index]["head_precision"] for index in precise] for run in self.runs])
        return [self.layers[index] for index in precise], _geometric_mean(values)


def records(group: Group, variant: Variant) -> Records | None:
    """The last records of a variant; none where a run has none."""
    files = [TrainedCell(folder).settling for folder in group.cells_of(group.trained.folders, variant)]
    if not all(file.is_file() for file in files):
        return None
    runs = []
    for file in files:
        for _, rows in groupby(read_parquet(file, SETTLING).to_pylist(), key=itemgetter("network")):
            of_network = list(rows)
            runs.append(tuple(row for row in of_network if row["step"] == of_network[-1]["step"]))
    return Records(tuple(runs))


def _root_mean_square(values: np.ndarray) -> np.ndarray:
    """Over the first axis."""
    return np.sqrt(np.mean(np.square(values), axis=0))  # type: ignore[no-any-return]


def _geometric_mean(values: np.ndarray) -> np.ndarray:
    return np.exp(np.mean(np.log(values), axis=0))  # type: ignore[no-any-return]
