"""Lines about tasks, and durations in words."""

import pytest

from precisionflow.cluster.pipelines.runs import duration
from precisionflow.cluster.pipelines.status import task_line
from precisionflow.cluster.pipelines.tasks import Task


def test_lines_of_tasks() -> None:
    assert task_line(Task("train a", "cached")) == "train a: taken from the cache"
    assert task_line(Task("train a", "running", "x", ("0", "1"), ("0",))) == "train a: running, try 2"
    assert task_line(Task("train a", "failed", "no\n node")) == "train a: failed: no node"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.9, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3725, "1 h 2 min"), (90000, "1 d 1 h")],
)
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told
