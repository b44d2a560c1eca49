"""How far a run is: stages counted from their markers, the rest of the time, live lines and others."""

import io
from pathlib import Path

import pytest

from precisionflow.ablation.design import expand
from precisionflow.app import live
from precisionflow.app.live import remaining, stages_shown
from precisionflow.results.layout import Results, cell_folder
from precisionflow.results.progress import Progress, StageProgress
from precisionflow.results.stage import once
from tests.finished_cells import fill, measured
from tests.synthetic import regression

VARIANTS = [variant.experiment for variant in expand(regression())]
OPEN = [("heteroscedastic", seed, split) for seed in (0, 1) for split in (5, 6)]


def begun(folder: Path) -> Results:
    return fill(regression(), folder, without=OPEN)


def test_stages_are_counted_by_what_is_finished(tmp_path: Path) -> None:
    assert Progress(Results(tmp_path / "none")).stages(VARIANTS) == {
        "prepare": StageProgress(0, 7),
        "train": StageProgress(0, 28),
        "evaluate": StageProgress(0, 28),
    }
    results = begun(tmp_path)
    of_other = cell_folder(results.model(VARIANTS[1]), 0, 5)
    once(of_other, verb="train", inputs="another configuration", work=lambda _: None)
    evaluated = cell_folder(results.evaluation(VARIANTS[0]), 0, 0)
    evaluated.rename(tmp_path / "away")
    assert Progress(results).stages(VARIANTS) == {
        "prepare": StageProgress(7, 7),
        "train": StageProgress(24, 28),
        "evaluate": StageProgress(23, 28),
    }


def test_the_rest_takes_as_long_as_what_was_done_in_this_run() -> None:
    """Not as what earlier runs did: 2 of 24 in 60 s, 6 open."""
    before, now = StageProgress(22, 30), StageProgress(24, 30)
    assert remaining(before, now, seconds=60.0) == "about 3 min left"
    assert remaining(before, before, seconds=60.0) == ""
    assert remaining(before, StageProgress(30, 30), seconds=60.0) == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_line_for_each_stage_below_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    results, screen = begun(tmp_path), Terminal()
    with stages_shown(VARIANTS, results, screen=screen) as place:
        place.write("train [x]: step 3\n")
        for seed, split in ((0, 5), (1, 5), (0, 6)):
            measured(expand(regression())[1], results, seed=seed, split=split)
    text = screen.getvalue()
    assert "train [x]: step 3\n" in text
    last = text[text.rindex("prepare") :]
    assert "7/7" in last
    assert last.count("27/28 about ") == 2


def test_elsewhere_a_line_comes_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, screen = begun(tmp_path), io.StringIO()
    with stages_shown(VARIANTS, results, screen=screen) as place:
        place.write("a line\n")
    assert screen.getvalue() == "a line\n"
    monkeypatch.setattr(live, "LINE_PAUSE", 0.0)
    with stages_shown(VARIANTS, results, screen=screen):
        measured(expand(regression())[1], results, seed=0, split=5)
    (told,) = screen.getvalue().splitlines()[1:]
    assert told.startswith("run: train 25 of 28, evaluate 25 of 28; about ")
