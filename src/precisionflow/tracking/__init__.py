"""Results in MLflow: a parent run for an experiment, a nested run for a cell (variant, dataset, seed, split).

The Parquet files are the truth; tracking copies them, and a second copy adds nothing.
"""

from precisionflow.tracking.registry import register_models
from precisionflow.tracking.store import ui_command
from precisionflow.tracking.track import track_cells, track_end, track_folder, track_report

__all__ = ["register_models", "track_cells", "track_end", "track_folder", "track_report", "ui_command"]
