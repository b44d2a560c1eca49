"""Progress of a study: seconds of the cells that are finished, and what is trained only."""

from pathlib import Path

from precisionflow.ablation.design import expand
from precisionflow.results.layout import Results
from precisionflow.results.progress import CellProgress, Progress
from tests.finished_cells import finish, prepare
from tests.synthetic import regression


def test_a_cell_took_its_training_and_its_evaluation(tmp_path: Path) -> None:
    results, first = Results(tmp_path), expand(regression())[0].experiment
    prepare(first, results)
    finish(first, results, seed=1, split=2, seconds=30.0)
    open_cells = [(seed, split) for split in first.splits for seed in first.seeds if (seed, split) != (1, 2)]
    found = Progress(results).of(first)
    assert CellProgress(1, 2, 31.0, trained=True) in found
    assert [cell for cell in found if cell.seconds is None] == [
        CellProgress(*cell, None) for cell in open_cells
    ]
