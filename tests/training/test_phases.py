"""Phases of a step: what is timed, that nothing else is changed, that each second is counted once."""

import time
from pathlib import Path

import pytest
import torch
from torch import nn

from precisionflow.config import load
from precisionflow.data.prepare import prepare
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card
from precisionflow.training.phases import Profile, Stopwatch, phase
from precisionflow.training.train import train

CPU = torch.device("cpu")


class Chain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Tanh()])
        self.readout = nn.Linear(2, 1)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.readout(x)


class Clock:
    """The time as a test sets it."""

    def __init__(self) -> None:
        self.time = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(Stopwatch, "now", lambda _: found.time)
    return found


def test_every_second_counts_once_in_the_innermost_phase(clock: Clock) -> None:
    watch = Stopwatch(CPU)
    for _ in range(2):
        with watch.step():
            clock.time += 1
            with phase("forward"):
                clock.time += 2
                with phase("settling"):
                    clock.time += 4
                clock.time += 8
            clock.time += 16
        clock.time += 100
    assert watch.seconds == {"other": 2 * 17, "forward": 2 * 10, "settling": 2 * 4}


def test_the_watch_reads_the_time() -> None:
    watch = Stopwatch(CPU)
    with watch.step():
        time.sleep(0.01)
    assert watch.seconds["other"] >= 0.01


def test_without_a_watch_a_phase_is_nothing() -> None:
    watch = Stopwatch(CPU)
    with phase("forward"):
        pass
    with watch.step():
        pass
    with phase("backward"):
        pass
    assert set(watch.seconds) == {"other"}


def test_a_profile_times_its_steps_after_the_first_two_and_is_taken_once(clock: Clock) -> None:
    network, taken = Chain(), []
    network.layers[1].register_forward_hook(lambda *_: setattr(clock, "time", clock.time + 0.25))
    profile = Profile(3, device=CPU, network=lambda: network)
    for step in range(7):
        with profile.step(), phase("forward"):
            network(torch.zeros(4, 2))
            clock.time += 1 if step in (2, 3, 4) else 100
        taken.append(profile.take())
    assert [bool(found) for found in taken] == [False, False, False, False, True, False, False]
    found = taken[4]
    assert found.pop("profile/peak_bytes") > 1e6
    assert found == {
        "profile/other": 0,
        "profile/forward": 1.25,
        "profile/layer-0-Linear": 0,
        "profile/layer-1-Tanh": 0.25,
        "profile/layer-2-Linear": 0,
    }
    hooks = [module._forward_pre_hooks for module in network.modules()]
    assert not any(hooks)


def test_no_profile_times_nothing() -> None:
    profile = Profile(None, device=CPU, network=Chain)
    for _ in range(5):
        with profile.step():
            pass
    assert profile.take() == {}


@pytest.mark.parametrize("learning", ["backprop", "predictive_coding"])
def test_a_cell_that_is_timed_learns_the_same_and_says_what_its_steps_took(
    learning: str, tmp_path: Path
) -> None:
    small = [
        "task.source={kind: scikit_learn, name: linnerud}",
        "model.hidden=[4]",
        "seeds=[0]",
        "splits=[0]",
    ]
    short = [
        "training.steps=6",
        "training.batch_size=4",
        "training.validate_every=6",
        f"learning.kind={learning}",
    ]
    cards = []
    for name, more in (("plain", []), ("timed", ["training.profile=2"])):
        experiment = load("quickstart-regression", [*small, *short, "ablation={}", *more])
        prepare([experiment], out=tmp_path / "data")
        train(experiment, data=tmp_path / "data", out=tmp_path / name)
        cards.append(read_card(tmp_path / name / "seed-0-split-0" / "model.json", ModelCard))
    plain, timed = cards
    weights = [
        (tmp_path / of / "seed-0-split-0" / "model.safetensors").read_bytes() for of in ("plain", "timed")
    ]
    assert weights[0] == weights[1]
    assert plain.profile == {}
    phases = {"forward", "backward", "optimiser", "other"} | ({"settling"} if "coding" in learning else set())
    assert {name for name in timed.profile if not name.startswith("layer-")} == phases | {"peak_bytes"}
    assert all(seconds > 0 for seconds in timed.profile.values())
