"""Journal: cards of trials, their records, and the order in which trials end."""

from pathlib import Path

import pytest

from precisionflow.results.locks import exclusive
from precisionflow.results.search_layout import SearchResults
from precisionflow.search.journal import Journal, TrialCard, adopt, recorded_seed
from precisionflow.search.study import parse_study
from tests.command_line import TINY
from tests.search.studies import content, study


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


def searched(folder: Path, tmp_path: Path, **changes: object) -> Path:
    """A folder with a search by seed 5: one trial has ended, one has begun, both have logs."""
    folder.mkdir(parents=True)
    journal = Journal(folder, study=study(tmp_path, **changes), seed=5)
    for number, end in ((0, 0), (1, None)):
        journal.write(card(number, end=end, state="begun" if end is None else "succeeded"))
        SearchResults(folder).trial(number).log.write_text("loss=1\n")
    return folder


def test_a_search_goes_on_elsewhere_with_the_trials_that_ended(tmp_path: Path) -> None:
    other = searched(tmp_path / "other", tmp_path, reports=9)
    place, out = searched(tmp_path / "there", tmp_path), tmp_path / "run" / "search"
    more = study(tmp_path, trials=9)
    assert adopt(more, places=(tmp_path / "none", other, place), out=out) == place
    assert recorded_seed(out, more) == 5
    journal = Journal(out, study=more, seed=5)
    assert journal.cards == Journal(place, study=more, seed=5).cards
    assert [journal.results(journal.cards[number]).log.exists() for number in (0, 1)] == [True, False]
    assert sorted(path.name for path in out.parent.iterdir()) == ["search"]
    assert adopt(more, places=(place,), out=out) is None


def test_a_search_of_another_study_is_not_gone_on_with(tmp_path: Path) -> None:
    place = searched(tmp_path / "there", tmp_path, reports=9)
    assert adopt(study(tmp_path), places=(place,), out=tmp_path / "search") is None
    (place / "study.json").write_text("{}")
    assert adopt(study(tmp_path, reports=9), places=(place,), out=tmp_path / "search") is None
    assert not (tmp_path / "search").exists()


def test_a_search_of_another_experiment_or_by_other_code_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study's file is the same: what it names has changed."""
    (experiment := tmp_path / "tiny.yaml").write_text(TINY)
    tree = content(tmp_path)
    (container,) = tree["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"]
    setting = "training.weight_decay=${trialParameters.place}"
    container["command"] = ["precisionflow", "trial", str(experiment), "--set", setting]
    tree["spec"]["parameters"] = [
        {"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}}
    ]
    given, place = parse_study(tree), tmp_path / "there"
    place.mkdir()
    Journal(place, study=given, seed=0)
    Journal(place, study=given, seed=0)
    assert recorded_seed(place, given) == 0
    refused = pytest.raises(
        ValueError, match=r"another search \(its trials trained another experiment, or by"
    )
    with monkeypatch.context() as changed, refused:
        changed.setattr("precisionflow.search.trained.code_digest", lambda _: "other")
        Journal(place, study=given, seed=0)
    experiment.write_text(TINY.replace("hidden: [3]", "hidden: [4]"))
    assert recorded_seed(place, given) is None
    assert adopt(given, places=(place,), out=tmp_path / "search") is None
    with refused:
        Journal(place, study=given, seed=0)


def test_a_search_that_is_running_is_waited_for(tmp_path: Path) -> None:
    place = searched(tmp_path / "there", tmp_path)
    with exclusive(place), pytest.raises(ValueError, match="another run is writing here; wait for it"):
        adopt(study(tmp_path), places=(place,), out=tmp_path / "search")
    with exclusive(place):
        assert adopt(study(tmp_path), places=(place,), out=place / "search") == place
