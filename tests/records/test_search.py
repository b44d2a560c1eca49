"""Searches that have ended: the best trial, and the table of trials."""

import json
from math import nan
from pathlib import Path

import pytest

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import TRIALS
from precisionflow.records.search import Better, Search, Trial, write_trials


def search(*values: float, better: Better = "minimize") -> Search:
    trials = tuple(
        Trial(
            name=f"s-{number}",
            number=number,
            end=number,
            state="succeeded" if value == value else "failed",
            value=value,
            seconds=1.5,
            parameters={"rate": 0.1 * number},
            settings=(f"training.rate={0.1 * number}",),
            metrics={"step": 1.0, "nll": value} if value == value else {},
            cause="" if value == value else "exit code 1",
        )
        for number, value in enumerate(values)
    )
    return Search("s", "key", "nll", better, "tpe", ("rate",), frozenset({"rate"}), trials)


@pytest.mark.parametrize(("better", "name"), [("minimize", "s-1"), ("maximize", "s-2")])
def test_the_best_is_the_earliest_of_equal_ones(better: Better, name: str) -> None:
    found = search(nan, 1.0, 3.0, 1.0, 3.0, better=better)
    assert found.best.name == name
    card = found.best_card
    assert (card.trial, card.trials, card.value) == (name, 5, found.best.value)
    assert card.settings == found.best.settings
    assert card.parameters == found.best.parameters


def test_a_search_without_a_value_has_no_best() -> None:
    with pytest.raises(ValueError, match="study s: none of 2 trials measured nll; look at their logs"):
        _ = search(nan, nan).best


def test_the_table_has_a_row_for_each_trial(tmp_path: Path) -> None:
    found = search(2.0, nan)
    write_trials(found, tmp_path / "trials.parquet")
    first, second = read_parquet(tmp_path / "trials.parquet", TRIALS).to_pylist()
    assert first["metrics"] == '{"nll": 2.0, "step": 1.0}'
    assert (json.loads(first["settings"]), json.loads(first["parameters"])) == (
        ["training.rate=0.0"],
        {"rate": 0.0},
    )
    assert (second["state"], second["cause"], second["metrics"]) == ("failed", "exit code 1", "{}")
    assert second["value"] != second["value"]
