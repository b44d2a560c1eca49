"""Points of an experiment: the settings that make its variants, each with a name."""

from typing import NamedTuple

from precisionflow.ablation.combinations import Levels
from precisionflow.config.ablation import Overlay


class Point(NamedTuple):
    """A variant before it is resolved on a data set."""

    name: str
    """Empty: that of the experiment."""
    levels: Levels
    settings: Overlay
