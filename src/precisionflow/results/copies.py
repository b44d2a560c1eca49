"""Copies of finished stages: whole or absent, and a model under the names of whom it is copied for."""

import shutil
from pathlib import Path

from precisionflow.config import Experiment
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card, write_card
from precisionflow.records.marker import MARKER, read_marker, sha256_of
from precisionflow.results.layout import TrainedCell
from precisionflow.results.locks import parents_of
from precisionflow.results.stage import finished_key, partial_of


def copy_stage(source: Path, target: Path, *, of: Experiment | None = None) -> bool:
    """Make `target` the finished stage that `source` is; whether it was copied: not where `target` is that already.

    What else lies at `target` is replaced; an unfinished `source` is left. A model becomes one `of` a variant, whose
    names are no part of its key.
    """
    key = finished_key(source)
    if key is None or finished_key(target) == key:
        return False
    with parents_of(target), partial_of(target) as partial:
        shutil.copytree(source, partial, copy_function=shutil.copyfile, dirs_exist_ok=True)
        if of is not None:
            _rename(partial, of)
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
    return True


def _rename(folder: Path, variant: Experiment) -> None:
    """Have the card of a trained cell say whose it is: the names are no part of what it was trained from."""
    file, marker = TrainedCell(folder).card, read_marker(folder)
    if marker is None or not file.exists():
        return
    card = read_card(file, ModelCard)
    write_card(card.model_copy(update={"experiment": variant, "experiment_hash": variant.hash}), file)
    files = marker.files | {file.name: sha256_of(file)}
    write_card(marker.model_copy(update={"files": files}), folder / MARKER)
