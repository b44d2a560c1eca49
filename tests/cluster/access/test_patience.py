"""How long silence, a shortage and a slow removal are borne, on a clock of our own."""

import pytest

from precisionflow.cluster.access import patience
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.patience import Patience, Shortage, came_true


class Clock:
    """Seconds that pass when they are told to, or slept through."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(patience, "time", found)
    return found


def silent() -> str:
    raise ClusterError("no answer")


def test_an_answer_renews_patience_and_silence_is_raised_once_it_is_over(clock: Clock) -> None:
    borne = Patience(10)
    clock.now = 8
    assert borne.ask(silent) is None
    assert borne.ask(lambda: "here") == "here"
    clock.now = 18
    assert borne.ask(silent) is None
    clock.now = 18.5
    with pytest.raises(ClusterError, match="no answer"):
        borne.ask(silent)


def test_a_shortage_that_changes_is_one_shortage_and_one_that_ends_begins_anew(clock: Clock) -> None:
    shortage = Shortage(10)
    assert shortage.follow("no node") is None
    clock.now = 6
    assert shortage.follow("no image") == "no node"
    clock.now = 11
    assert shortage.unbearable
    assert shortage.follow(None) == "no image"
    assert not shortage.unbearable
    clock.now = 30
    assert shortage.follow("no node") is None
    assert not shortage.unbearable


def test_a_removal_is_waited_for_so_long_and_no_longer(clock: Clock) -> None:
    assert came_true(lambda: clock.now > 4, seconds=5)
    assert clock.now == 4.5
    assert not came_true(lambda: False, seconds=5)
    assert clock.now == 10
