"""Results in MLflow: a run for an experiment, inside it one for a variant, inside that one for a cell.

The Parquet files are the truth; tracking copies them, and a second copy adds nothing.
"""
