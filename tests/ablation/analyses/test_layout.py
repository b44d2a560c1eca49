"""Layout of an analysis: its runs, the variants that they are, what is refused."""

from typing import Any

import numpy as np
import pytest

from precisionflow.ablation.analyses.layout import label, layout, short_names
from precisionflow.ablation.design import expand, pairs, shortfall, single
from precisionflow.ablation.plan import plan
from precisionflow.config import ConfigError, parse, to_yaml
from precisionflow.results.layout import Results
from tests.analysed import analysed, sensitivity

BETA = {"kind": "range", "low": 0, "high": 1}


def test_a_sweep_has_the_own_settings_and_every_level_once() -> None:
    variants = expand(analysed(sensitivity("one_at_a_time", levels=3)))
    assert [variant.name for variant in variants] == [
        "0.001+0+8",
        "0.0001+0+8",
        "0.01+0+8",
        "0.001+0.5+8",
        "0.001+1+8",
        "0.001+0+16",
        "0.001+0+32",
    ]
    last = variants[-1]
    assert last.levels == {"learning_rate": "0.001", "beta": "0", "hidden": "32"}
    assert (last.experiment.model.hidden, last.experiment.training.learning_rate) == ((32,), 1e-3)
    assert last.experiment.analysis is None


@pytest.mark.parametrize(
    ("method", "runs"),
    [({"kind": "morris", "trajectories": 5}, 5 * 4), ({"kind": "sobol", "samples": 16}, 16 * 5)],
)
def test_runs_are_counted_and_those_of_the_same_settings_are_one_variant(
    method: dict[str, Any], runs: int
) -> None:
    experiment = analysed(sensitivity(**method))
    assert experiment.analysis is not None
    found = layout(experiment, experiment.analysis)
    variants = expand(experiment)
    assert len(found.places) == len(found.names) == runs
    assert {variant.name for variant in variants} == set(found.names)
    assert len({v.experiment.model_dump_json(exclude={"variant"}) for v in variants}) == len(variants)


def test_every_run_is_its_variant() -> None:
    experiment = analysed(sensitivity("morris", trajectories=6))
    assert experiment.analysis is not None
    found = layout(experiment, experiment.analysis)
    of = {variant.name: variant.experiment for variant in expand(experiment)}
    for name, place in zip(found.names, found.places.tolist(), strict=True):
        assert of[name].training.learning_rate == pytest.approx(1e-4 * 100 ** place[0], rel=1e-3)
        assert of[name].objective.beta == pytest.approx(place[1], abs=1e-3)
        assert of[name].model.hidden == ((8,), (16,), (32,))[round(2 * place[2])]


def test_values_that_sobol_draws_are_equally_likely() -> None:
    """Whole numbers of a range as those of a list; of a range by logarithms those that are near 1 the more."""
    numbers = {"kind": "range", "low": 1, "high": 4, "whole": True}
    parameters = {
        "training.batch_size": numbers,
        "training.validate_every": numbers | {"scale": "log"},
        "model.hidden": {"kind": "choice", "values": [[1], [2], [3], [4]]},
    }
    runs = layout(experiment := analysed(sensitivity("sobol", parameters, samples=64)), experiment.analysis)
    shares = [np.unique(of, return_counts=True)[1] / len(runs.places) for of in runs.places.T]
    assert shares[0] == pytest.approx([0.25] * 4, abs=0.02)
    assert shares[1] == pytest.approx(np.log([3, 5 / 3, 7 / 5, 9 / 7]) / np.log(9), abs=0.03)
    assert shares[2] == pytest.approx([0.25] * 4, abs=0.02)


def test_nothing_is_contrasted_and_the_plan_counts_the_cells(tmp_path) -> None:
    experiment = analysed(sensitivity("one_at_a_time", levels=3))
    assert pairs(experiment, expand(experiment)) == []
    assert shortfall(experiment) is None
    made = plan(experiment, Results(tmp_path))
    assert (sum(row.cells for row in made.rows), made.contrasts) == (7 * 3, 0)


def test_one_run_is_chosen_by_its_name() -> None:
    experiment = analysed(sensitivity("one_at_a_time", levels=3))
    with pytest.raises(ConfigError, match=r"variant: the experiment has 7; choose with --set variant=NAME"):
        single(experiment)
    chosen = single(experiment.model_copy(update={"variant": "0.001+1+8"}))
    assert (chosen.objective.beta, chosen.analysis) == (1.0, None)


def test_runs_whose_values_are_no_name_are_numbered() -> None:
    lists = {"model.hidden": {"kind": "choice", "values": [[8] * 60, [8] * 61]}, "objective.beta": BETA}
    names = [variant.name for variant in expand(analysed(sensitivity("morris", lists, trajectories=2)))]
    assert names == [f"run-{index}" for index in range(len(names))]
    assert len(names) > 3


def test_an_analysis_on_several_data_sets_has_its_runs_on_each() -> None:
    ablation = {"datasets": {"a": {"task.source": {"kind": "heteroscedastic_sine"}}, "b": {}}}
    variants = expand(analysed(sensitivity("one_at_a_time", levels=3), ablation=ablation))
    assert [variant.dataset for variant in variants] == ["heteroscedastic_sine"] * 7 + ["diabetes"] * 7


def test_what_is_written_out_is_the_same_experiment() -> None:
    experiment = analysed(sensitivity("sobol", samples=8))
    assert parse(to_yaml(experiment)) == experiment


@pytest.mark.parametrize(
    ("analysis", "line"),
    [
        (
            sensitivity("one_at_a_time", {"objective.beta": {"kind": "range", "low": 0.5, "high": 1}}),
            r"analysis\.parameters\.objective\.beta: the experiment's own value 0\.0 is not among 0\.5 to 1, and one",
        ),
        (
            sensitivity("one_at_a_time", {"model.hidden": {"kind": "choice", "values": [[9], [10]]}}),
            r"analysis\.parameters\.model\.hidden: the experiment's own value \[8\] is not among \[9\], \[10\], and",
        ),
        (
            sensitivity("morris", {"training.step": BETA}),
            r"analysis: the experiment has no 'training\.step'; there are steps, .*; name a key that",
        ),
        (
            sensitivity(
                "morris", {"training.batch_size": {"kind": "range", "low": 1, "high": 3, "whole": True}}
            ),
            r"analysis\.parameters\.training\.batch_size: its 4 levels are 1, 2, 2, 3, which repeat; give fewer levels",
        ),
        (
            sensitivity("morris", {"training.batch_size": {"kind": "range", "low": 1, "high": 3.5}}),
            r"analysis batch_size=3\.5: training\.batch_size: given 3\.5; should be a valid integer",
        ),
    ],
)
def test_a_layout_that_cannot_be_is_one_line(analysis: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        expand(analysed(analysis))


def test_short_names_are_last_words_where_they_tell_apart() -> None:
    assert short_names(["a.rate", "a.rate", "b.size"]) == {"a.rate": "rate", "b.size": "size"}
    assert short_names(["a.rate", "b.rate"]) == {"a.rate": "a.rate", "b.rate": "b.rate"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0031623, "0.003162"),
        (64, "64"),
        ([50, 20], "50-20"),
        ("one cycle", "one-cycle"),
        ({"kind": "muon", "x": 0.5}, "muon-0.5"),
    ],
)
def test_values_are_parts_of_names(value: object, text: str) -> None:
    assert label(value) == text
