"""Journal: cards of trials, their records, and the order in which trials end."""

from pathlib import Path

import pytest

from precisionflow.search.journal import Journal, TrialCard
from tests.search.studies import study


def card(number: int, **changes: object) -> TrialCard:
    given = {"number": number, "assignments": {"x": f"{number}.0"}, "told": 0} | changes
    return TrialCard.model_validate(given)


def test_a_card_becomes_the_record_of_its_trial(tmp_path: Path) -> None:
    reports = (("loss", 3.0), ("step", 0.0), ("loss", 2.0), ("step", 1.0), ("loss", 2.5))
    found = card(4, state="stopped", end=2, reports=reports, value=2.0, seconds=1.25).record(study(tmp_path))
    assert (found.name, found.number, found.end, found.state) == ("parabola-4", 4, 2, "stopped")
    assert (found.value, found.seconds, found.parameters) == (2.0, 1.25, {"x": 4.0})
    assert found.metrics == {"loss": 2.0, "step": 1.0}
    assert found.reports == reports


def test_ends_are_counted_and_failed_trials_run_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    journal = Journal(out, study=study(tmp_path), seed=0)
    assert journal.next_end == 0
    for number, end, state in ((0, 1, "succeeded"), (1, 0, "failed"), (2, None, "begun")):
        journal.write(card(number, end=end, state=state))
    assert [one.number for one in journal.ended] == [1, 0]
    assert [one.number for one in journal.begun] == [2]
    assert journal.next_end == 2
    journal.reopen_failed()
    again = Journal(out, study=study(tmp_path), seed=0)
    assert [one.number for one in again.ended] == [0]
    assert [one.number for one in again.begun] == [1, 2]


class Recorder:
    """An algorithm that suggests what the cards hold, and keeps the order of the calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def ask(self) -> dict[str, str]:
        number = sum(call.startswith("ask") for call in self.calls)
        self.calls.append(f"ask {number}")
        return {"x": f"{number}.0"}

    def tell(self, number: int, value: float | None) -> None:
        self.calls.append(f"tell {number} {value}")


def test_a_replay_asks_and_tells_in_the_recorded_order(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    journal = Journal(out, study=study(tmp_path), seed=0)
    journal.write(card(0, end=1, state="succeeded", value=5.0))
    journal.write(card(1, end=0, state="failed"))
    journal.write(card(2, told=1, end=2, state="succeeded", value=4.0))
    recorder = Recorder()
    journal.replay(recorder)
    assert recorder.calls == ["ask 0", "ask 1", "tell 1 None", "ask 2", "tell 0 5.0", "tell 2 4.0"]
    journal.write(card(3, assignments={"x": "9.0"}))
    with pytest.raises(ValueError, match="trial 3 cannot be suggested again"):
        journal.replay(Recorder())
