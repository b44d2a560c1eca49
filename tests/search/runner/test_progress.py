"""What a screen shows of a search."""

import io
from pathlib import Path

import pytest

from precisionflow.search.journal import TrialCard
from precisionflow.search.runner.progress import progress
from tests.search.studies import study


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


CARDS = [
    TrialCard(
        number=0, assignments={"x": "1.5"}, told=0, state="succeeded", end=0, value=1 / 3, seconds=2.04
    ),
    TrialCard(
        number=1, assignments={"x": "2"}, told=0, state="failed", end=1, cause="exit code 1", seconds=0.16
    ),
]
LINES = [
    "search parabola trial 0 succeeded: loss 0.333333 in 2.0 s (x 1.5)",
    "search parabola trial 1 failed: exit code 1 in 0.2 s (x 2)",
]


@pytest.mark.parametrize(
    ("there", "changes", "said"),
    [
        (0, {}, "random, 4 trials, 3 at once"),
        (2, {}, "random, 4 trials, 3 at once, 2 are there already"),
        (0, {"maxTrialCount": None, "algorithm": "grid"}, "grid, all trials, 3 at once"),
    ],
)
def test_a_file_gets_a_line_for_each_trial(
    tmp_path: Path, there: int, changes: dict[str, object], said: str
) -> None:
    screen = io.StringIO()
    one = study(tmp_path, **changes)
    with progress([one], at_once=1, parallel=3, there=there, screen=screen) as told:
        for card in CARDS:
            told(one, card)
    assert screen.getvalue().splitlines() == [
        f"precisionflow: {line}" for line in (f"search parabola: {said}", *LINES)
    ]


def test_a_terminal_gets_a_bar_below_the_lines(tmp_path: Path) -> None:
    """One trial was there before: two more of four make three."""
    screen = Terminal()
    one = study(tmp_path)
    with progress([one], at_once=1, parallel=3, there=1, screen=screen) as told:
        for card in CARDS:
            told(one, card)
    shown = screen.getvalue()
    assert all(line in shown for line in LINES)
    assert "3/4" in shown
    assert "4/4" not in shown


def test_studies_side_by_side_share_one_line_and_one_bar(tmp_path: Path) -> None:
    two = [study(tmp_path), study(tmp_path)]
    for screen, begun in (
        (
            io.StringIO(),
            "precisionflow: search: 2 studies, 2 side by side, 8 trials, 6 at once, 1 are there already\n",
        ),
        (Terminal(), ""),
    ):
        with progress(two, at_once=2, parallel=3, there=1, screen=screen) as told:
            for one, card in zip(two, CARDS, strict=True):
                told(one, card)
        shown = screen.getvalue()
        assert shown.startswith(begun)
        assert all(line in shown for line in LINES)
    assert "3/8" in shown
    assert "2 studies" in shown
