"""Failed cells in MLflow: FAILED runs with their cause beside the others, once."""

import shutil
from pathlib import Path

import pytest

from precisionflow.records.files import write_card
from precisionflow.records.marker import MARKER, read_marker
from precisionflow.results.failures import write_failure
from precisionflow.results.layout import cell_folder
from precisionflow.results.stage import finished_key, finished_span, once
from precisionflow.tracking.track import track_folder
from tests.tracking.results_folder import (
    NOISE,
    above,
    client_in,
    place,
    rows_in,
    runs_of,
    track_variant,
    variants,
)

CAUSE = "validation loss is nan at step 30"


@pytest.fixture
def failed(results: Path) -> Path:
    """The second variant's cell of seed 1 has failed."""
    variant = variants(NOISE)[1]
    for room in ("model", "evaluation"):
        cell = cell_folder(place(results / room, variant), 1, 0)
        shutil.rmtree(cell)
        once(
            cell,
            verb="train" if room == "model" else "evaluate",
            inputs=["failed", room],
            work=lambda out: write_failure(
                out, variant, seed=1, split=0, stage="train", error=ValueError(CAUSE)
            ),
        )
    return results


def test_a_failed_cell_is_a_failed_run_of_the_experiment(failed: Path) -> None:
    assert track_folder(failed)
    client, variant = client_in(failed), variants(NOISE)[1]
    (parent,) = runs_of(client, "noise", verb="report")
    cells = runs_of(client, "noise", verb="evaluate")
    assert sorted(run.info.status for run in cells) == ["FAILED", "FINISHED", "FINISHED", "FINISHED"]
    (lost,) = [run for run in cells if run.info.status == "FAILED"]
    assert lost.info.run_name == f"{variant.variant} diabetes seed 1 split 0"
    assert above(client, lost, 2) == parent.info.run_id
    tags = {name: lost.data.tags[f"precisionflow.{name}"] for name in ("cause", "stage", "seed", "variant")}
    assert tags == {"cause": CAUSE, "stage": "train", "seed": "1", "variant": variant.variant}
    assert lost.data.params["cfg.objective.kind"] == variant.objective.kind
    assert not lost.data.metrics
    begun, ended = (cell_folder(place(failed / room, variant), 1, 0) for room in ("model", "evaluation"))
    assert lost.info.start_time == int(finished_span(begun).start * 1000)
    assert lost.info.end_time == int(finished_span(ended).end * 1000)
    assert parent.info.status == "FINISHED"
    before = rows_in(failed)
    assert track_folder(failed)
    assert rows_in(failed) == before


def test_a_cell_that_is_tried_again_with_success_is_another_run(failed: Path, finished: Path) -> None:
    """Its key is the one that the failed cell had: the same configuration, data and code."""
    variant = variants(NOISE)[1]
    assert track_variant(failed, variant)
    evaluated = cell_folder(place(failed / "evaluation", variant), 1, 0)
    key = finished_key(evaluated)
    for room in ("model", "evaluation"):
        cell = cell_folder(place(failed / room, variant), 1, 0)
        shutil.rmtree(cell)
        shutil.copytree(cell_folder(place(finished / room, variant), 1, 0), cell)
    marker = read_marker(evaluated)
    assert marker is not None
    write_card(marker.model_copy(update={"key": key}), evaluated / MARKER)
    assert track_variant(failed, variant)
    cells = runs_of(client_in(failed), "noise", verb="evaluate")
    assert sorted(run.info.status for run in cells) == ["FAILED", "FINISHED", "FINISHED"]
