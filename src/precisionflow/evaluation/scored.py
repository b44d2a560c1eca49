"""Scores of one cell, whatever its task."""

from typing import NamedTuple

import pyarrow as pa

from precisionflow.evaluation.calibration.chance import Draws
from precisionflow.records.recalibration import Fit


class Scored(NamedTuple):
    """Predictions of the test rows and what follows from them."""

    predictions: pa.Table
    """One row for each target."""
    schema: pa.Schema
    """Schema of the predictions, from `records.schemas`."""
    metrics: dict[str, float]
    chance: dict[str, Draws]
    """Metric -> what it is in worlds where the predictions are true, for those that chance keeps from their ideal."""
    fit: pa.Table | None = None
    """A records.schemas.FIT where the inputs are one number; none: no curve shows them."""
    recalibrations: tuple[Fit, ...] = ()
    """What the recalibrations of the metrics were fitted to."""
    classes: pa.Table | None = None
    """A records.schemas.CLASSES of texts and words."""
    confusions: pa.Table | None = None
    """A records.schemas.CONFUSIONS beside it."""
    images: pa.Table | None = None
    """A records.schemas.IMAGES of images."""
    attention: pa.Table | None = None
    """A records.schemas.ATTENTION where the experiment asks for it."""
    edges: pa.Table | None = None
    """A records.schemas.EDGES beside it."""
    bins: pa.Table | None = None
    """A records.schemas.BINS without its cell; none: nothing is asked of parts of the rows."""
