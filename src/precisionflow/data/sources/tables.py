"""The table of a source."""

from typing import assert_never

from precisionflow.config.drawn_tables import HeteroscedasticSine, MovingTarget, NodeChain, Sensors
from precisionflow.config.sources import ScikitLearnTable, TableFile, TableSource, UciFolder
from precisionflow.data.sources.moving_target import open_moving_target
from precisionflow.data.sources.node_chain import open_node_chain
from precisionflow.data.sources.scikit_learn import open_scikit_learn
from precisionflow.data.sources.sensors import open_sensors
from precisionflow.data.sources.sine import open_sine
from precisionflow.data.sources.table_file import open_table_file
from precisionflow.data.sources.uci_folder import open_uci_folder
from precisionflow.data.table import Table


def open_table(source: TableSource, split: int) -> Table:
    """The table, cut by the split; ValueError for a bad source."""
    match source:
        case ScikitLearnTable():
            return open_scikit_learn(source, split=split)
        case HeteroscedasticSine():
            return open_sine(source, split=split)
        case Sensors():
            return open_sensors(source, split=split)
        case MovingTarget():
            return open_moving_target(source, split=split)
        case NodeChain():
            return open_node_chain(source, split=split)
        case UciFolder():
            return open_uci_folder(source, split=split)
        case TableFile():
            return open_table_file(source, split=split)
        case _:
            assert_never(source)
