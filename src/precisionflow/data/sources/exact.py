"""The exact distribution of a row's target, of sources that are known."""

from typing import assert_never

import numpy as np
from jaxtyping import Int

from precisionflow.config.sources import (
    HeteroscedasticSine,
    ScikitLearnTable,
    Sensors,
    TableFile,
    TableSource,
    UciFolder,
)
from precisionflow.data.sources.sensors import Mixture, draw_sensors, filtered


def exact_mixture(source: TableSource, row: Int[np.ndarray, "rows"]) -> Mixture | None:
    """p(target | features) of rows by their number in the source; none where no one knows it."""
    match source:
        case Sensors():
            return filtered(source, draw_sensors(source).of(row))
        case HeteroscedasticSine() | ScikitLearnTable() | UciFolder() | TableFile():
            return None
        case _:
            assert_never(source)
