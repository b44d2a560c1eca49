"""Evaluation: how predictions are scored and recalibrated."""

from decimal import Decimal
from typing import Annotated, Literal, get_args

from pydantic import Field

from precisionflow.config.base import NUMBER, Config, Flag, Fraction

TableRecalibration = Literal[
    "variance_scaling", "quantile_map", "conformal_split", "conformal_normalised", "conformal_quantile"
]
ClassRecalibration = Literal["temperature"]
SetRecalibration = Literal["aps", "raps"]
Recalibration = Literal[TableRecalibration, ClassRecalibration, SetRecalibration]
"""Methods for distributions of a number, for probabilities of classes, and sets of classes."""
RECALIBRATIONS: tuple[str, ...] = get_args(Recalibration)
OF_EDGES = ("attention_on_", "attended_keys", "keys_visited")
"""Starts of metrics of edges between tokens."""
OF_BOUND = ("error_over_bound", "retrieval_proven")
"""Metrics of the bound that an exponential energy keeps."""


class Evaluation(Config):
    """How predictions are scored."""

    levels: Annotated[tuple[Fraction, ...], Field(min_length=1)] = (0.5, 0.8, 0.9, 0.95)
    """Nominal levels of the central intervals whose coverage, width and score are measured."""
    bins: Annotated[int, Field(ge=2), NUMBER] = 15
    """Equal-width confidence bins of the expected calibration error."""
    recalibration: tuple[Recalibration, ...] = ()
    """Methods that are fitted on held-out rows; the test rows are scored before and after each."""
    held_out: Literal["split", "all_splits"] = "split"
    """Rows that recalibrations of classes are fitted on. split: validation rows of the cell's own split. all_splits:
    those of every split, each as predicted by the network of its split and the same seed, which has not learned from it
    (Platt 1999); where a file or a column says which rows are tested, and validation rows are few."""
    inspect: Flag = False
    """Entropy and precision of attention by layer, head and symbol, of the beginning of the test text; and its edges in
    the head of least entropy."""

    @property
    def intervals(self) -> tuple[str, ...]:
        """Metrics of the central intervals by level in per cent: 0.975 -> coverage_97.5, width_97.5, ..."""
        return self._of_levels("coverage", "width", "interval_score")

    @property
    def sets(self) -> tuple[str, ...]:
        """Metrics of the prediction sets by level in per cent: 0.9 -> set_coverage_90, set_size_90."""
        return self._of_levels("set_coverage", "set_size")

    def _of_levels(self, *names: str) -> tuple[str, ...]:
        shown = [format((Decimal(str(level)) * 100).normalize(), "f") for level in self.levels]
        return tuple(f"{name}_{level}" for name in names for level in shown)
