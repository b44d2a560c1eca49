"""Remarks on trainings that may have gone wrong: runs that stopped far before the others, runs that a limit ended."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from precisionflow.config.external import External
from precisionflow.records.cards import ModelCard
from precisionflow.records.columns import listed

FAR = 0.5
"""A run that took less than this share of its variant's median number of steps stopped far before the others."""
SHOWN = 5
"""Most runs that one remark names."""


def remarks(cards: Mapping[str, Sequence[ModelCard]]) -> list[str]:
    """One sentence for each thing that should be looked at; `cards` are the runs of each variant on one data set."""
    return [remark for variant, runs in cards.items() for remark in _of_variant(variant, runs)]


def _of_variant(variant: str, runs: Sequence[ModelCard]) -> Iterator[str]:
    training = runs[0].experiment.training
    if training.patience is None or isinstance(runs[0].experiment.model, External):
        return
    median = statistics.median(run.steps for run in runs)
    if early := [run for run in runs if run.steps < FAR * median]:
        named = listed([f"seed {r.seed} split {r.split} at step {r.steps}" for r in early], most=SHOWN)
        yield (
            f"{variant}: {len(early)} of {len(runs)} runs stopped far before the others ({named}; "
            f"median {median:g}): a plateau may have outlasted training.patience {training.patience}"
        )
    ended = sum(run.steps >= run.planned_steps for run in runs)
    if ended and training.schedule == "constant":
        yield (
            f"{variant}: {ended} of {len(runs)} runs came to the limit of {runs[0].planned_steps} steps before "
            "early stopping ended them: training.steps may be too few"
        )
