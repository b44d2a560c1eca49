"""A whole search, here or on Katib: read, check, run, say what was found and where it is."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.console import say
from precisionflow.results.search_layout import SearchResults
from precisionflow.search.read import read_study

if TYPE_CHECKING:
    from precisionflow.records.search import Best


def search_here(file: Path, *, out: Path | None, parallel: int | None, seed: int | None) -> None:
    """Run a study's trials on this machine; those that `out` already holds are not run again."""
    from precisionflow.search.runner.run import run_study

    study = read_study(file)
    folder = out or SearchResults.usual(study.name).folder
    best = run_study(study, out=folder, parallel=parallel, seed=seed, screen=sys.stdout)
    _tell(best, folder)


def search_on_cluster(file: Path, *, out: Path | None, access: Access, images: Path | None) -> None:
    """Run a study on Katib; an experiment of the same content that is there is followed instead."""
    from precisionflow.cluster.katib.launch import run_on_katib
    from precisionflow.components.images import image_references, refuse_inexact

    study = read_study(file)
    folder = out or SearchResults.usual(study.name).folder
    references = image_references(images)
    refuse_inexact(references)
    best = run_on_katib(study, connection=Connection(access), images=references, out=folder, say=say)
    _tell(best, folder)


def _tell(best: "Best", folder: Path) -> None:
    """Print what was found, as it is used: `--set` for each setting."""
    from precisionflow.tracking.store import ui_command

    print(f"\nbest {best.metric} {best.value:.6g}, trial {best.trial} of {best.trials}:")
    for setting in best.settings:
        print(f"  --set {shlex.quote(setting)}")
    print(f"report: {SearchResults(folder).page}")
    print(f"mlflow: {ui_command(folder)}")
