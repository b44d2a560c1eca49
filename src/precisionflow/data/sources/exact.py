"""What is known of a source's rows: the exact distribution of the target, the tokens that tell it."""

from typing import assert_never

import numpy as np
from jaxtyping import Int

from precisionflow.config.drawn_tables import HeteroscedasticSine, MovingTarget, NodeChain, Sensors
from precisionflow.config.sources import ScikitLearnTable, TableFile, TableSource, UciFolder
from precisionflow.data.sources.moving_target import dense_posterior, draw_targets
from precisionflow.data.sources.node_chain import draw_chains
from precisionflow.data.sources.sensors import Mixture, draw_sensors, filtered


def exact_mixture(source: TableSource, row: Int[np.ndarray, "rows"]) -> Mixture | None:
    """p(target | features) of rows by their number in the source; none where no one knows it."""
    match source:
        case Sensors():
            return filtered(source, draw_sensors(source).of(row))
        case MovingTarget():
            return dense_posterior(source, draw_targets(source)[row, :-1])
        case HeteroscedasticSine() | NodeChain() | ScikitLearnTable() | UciFolder() | TableFile():
            return None
        case _:
            assert_never(source)


def cause_of(source: TableSource, row: Int[np.ndarray, "rows"]) -> Int[np.ndarray, "rows causes"] | None:
    """Places of the tokens that tell the target of rows, the nearest first; none where no one knows them."""
    match source:
        case NodeChain():
            return draw_chains(source).of(row).cause
        case (
            HeteroscedasticSine()
            | Sensors()
            | MovingTarget()
            | ScikitLearnTable()
            | UciFolder()
            | TableFile()
        ):
            return None
        case _:
            assert_never(source)
