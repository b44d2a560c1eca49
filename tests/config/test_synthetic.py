"""Synthetic sources: what cannot be drawn is told in one line, at the first value that cannot."""

import pytest

from precisionflow.config import ConfigError, Experiment, resolve


def experiment(**source: object) -> Experiment:
    return resolve(
        {
            "name": "s",
            "task": {"kind": "synthetic", "source": source},
            "model": {"kind": "transformer"},
            "objective": {"kind": "cross_entropy"},
        }
    )


@pytest.mark.parametrize(
    ("allowed", "changed", "message"),
    [
        ({"kind": "ngrams", "symbols": 16, "order": 3}, {"symbols": 17}, "has 4913 hidden states; 4096 are"),
        ({"kind": "brackets", "types": 2, "depth": 11}, {"depth": 12}, "has 8191 hidden states; 4096 are"),
        (
            {"kind": "copying", "shortest": 5, "length": 5},
            {"shortest": 6},
            "task.source.shortest 6 is above task.source.length 5",
        ),
        (
            {"kind": "urns", "shortest": 5, "length": 5},
            {"length": 4},
            "task.source.shortest 5 is above task.source.length 4; exch",
        ),
        (
            {"kind": "recall", "keys": 4, "pairs": 4},
            {"pairs": 5},
            "task.source.pairs 5 are more than task.source.keys 4; a key",
        ),
        ({"kind": "urns", "outliers": 0.99}, {"outliers": 1}, "outliers: given 1; should be less than 1"),
    ],
)
def test_the_last_value_that_can_be_drawn_and_the_first_that_cannot(allowed, changed, message):
    assert experiment(**allowed).task.source.model_dump(include=set(allowed)) == allowed
    with pytest.raises(ConfigError) as caught:
        experiment(**allowed | changed)
    assert message in str(caught.value)
    assert str(caught.value).startswith("task.source")


def test_a_source_is_called_after_its_outliers_and_reads_no_file():
    plain, strange = (experiment(kind="recall", **more) for more in ({}, {"outliers": 0.25}))
    assert (plain.dataset, strange.dataset) == ("recall", "recall_outliers_0.25")
    assert strange.task.source.files == ()
