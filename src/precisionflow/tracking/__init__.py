"""Results in MLflow: a run for an experiment, inside it one for a variant, inside that one for a cell.

The Parquet files are the truth; tracking copies them, and a second copy adds nothing.
"""

from precisionflow.tracking.registry import register_models
from precisionflow.tracking.store import ui_command
from precisionflow.tracking.track import track_cells, track_end, track_folder, track_report

__all__ = ["register_models", "track_cells", "track_end", "track_folder", "track_report", "ui_command"]
