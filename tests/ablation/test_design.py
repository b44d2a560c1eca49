"""Axes to variants: order, names, resolved settings, errors that name the place."""

import pytest
from scipy.stats import binomtest

from precisionflow.ablation.design import expand, fewest_units, pairs, shortfall, single
from precisionflow.config import ConfigError, Experiment, load, parse, shipped, to_yaml
from tests.synthetic import language, regression


def test_two_axes_give_their_product_with_the_last_axis_fastest() -> None:
    variants = expand(language())
    assert [v.name for v in variants] == [
        "backprop+dot_product",
        "backprop+precision",
        "predictive_coding+dot_product",
        "predictive_coding+precision",
    ]
    assert [v.levels for v in variants][2] == {"learning": "predictive_coding", "attention": "dot_product"}


def test_a_variant_is_the_experiment_with_its_overlays_and_without_the_ablation() -> None:
    experiment = language()
    *_, last = expand(experiment)
    assert last.experiment.learning.kind == "predictive_coding"
    assert last.experiment.model.attention.potential.kind == "gaussian_per_key"
    assert last.experiment.ablation.axes == {}
    assert last.experiment.training == experiment.training
    assert last.experiment.variant == last.name


def test_every_variant_stands_alone_as_yaml() -> None:
    for variant in expand(language()):
        assert parse(to_yaml(variant.experiment)) == variant.experiment


def test_hashes_tell_variants_apart() -> None:
    hashes = [v.experiment.hash for v in expand(language())]
    assert len(set(hashes)) == 4


def test_an_experiment_without_axes_is_one_default_variant() -> None:
    experiment = regression(("axes:", "axes: {}"), ("    noise:\n", ""), *_without_levels())
    (only,) = expand(experiment)
    assert (only.name, only.dataset, only.levels) == ("default", "diabetes", {})


def _without_levels() -> list[tuple[str, str]]:
    levels = {"homoscedastic": "homoscedastic", "heteroscedastic": "gaussian_nll"}
    return [(f"      {name}: {{objective.kind: {kind}}}\n", "") for name, kind in levels.items()]


def test_datasets_are_outermost() -> None:
    experiment = regression(
        (
            "ablation:\n",
            "ablation:\n  datasets:\n    d: {task.source.name: diabetes}\n    l: {task.source.name: linnerud}\n",
        )
    )
    assert [(v.dataset, v.name) for v in expand(experiment)] == [
        ("diabetes", "homoscedastic"),
        ("diabetes", "heteroscedastic"),
        ("linnerud", "homoscedastic"),
        ("linnerud", "heteroscedastic"),
    ]


def test_a_bad_overlay_is_reported_with_its_axis_and_level() -> None:
    experiment = regression(
        ("heteroscedastic: {objective.kind: gaussian_nll}", "wild: {objective.kind: hetero}")
    )
    with pytest.raises(ConfigError, match=r"ablation noise=wild: objective\.kind: unknown value 'hetero'"):
        expand(experiment)


def _datasets(*overlays: str) -> tuple[str, str]:
    lines = "".join(f"    {label}: {{{overlay}}}\n" for label, overlay in zip("de", overlays, strict=True))
    return ("ablation:\n", f"ablation:\n  datasets:\n{lines}")


def test_data_sets_whose_sources_have_one_name_are_called_by_their_labels() -> None:
    experiment = regression(_datasets("task.validation_fraction: 0.1", "task.validation_fraction: 0.2"))
    assert [(v.dataset, v.name) for v in expand(experiment)] == [
        ("d", "homoscedastic"),
        ("d", "heteroscedastic"),
        ("e", "homoscedastic"),
        ("e", "heteroscedastic"),
    ]


def test_two_data_sets_that_are_one_are_refused() -> None:
    experiment = regression(_datasets("task.source.name: diabetes", "task.source.name: diabetes"))
    with pytest.raises(
        ConfigError, match=r"ablation\.datasets: 'd' and 'e' are the same; leave out one of them"
    ):
        expand(experiment)


def test_an_axis_that_changes_nothing_is_refused() -> None:
    """By its only level, between two of its levels, or because its settings are what the experiment says anyway."""
    with pytest.raises(
        ConfigError, match=r"ablation\.axes\.noise: its only level changes nothing; add a level or"
    ):
        expand(regression(_without_levels()[0]))
    twice = ("heteroscedastic: {objective.kind: gaussian_nll}", "again: {objective.kind: homoscedastic}")
    with pytest.raises(
        ConfigError, match=r"ablation\.axes\.noise: changes nothing between 'homosc.*' and 'again'"
    ):
        expand(regression(twice))
    hidden = (
        "  axes:\n",
        "  axes:\n    width:\n      a: {model.hidden: [8]}\n      b: {model.hidden: [8]}\n",
    )
    with pytest.raises(
        ConfigError, match=r"ablation\.axes\.width: changes nothing between 'a' and 'b'; change or"
    ):
        expand(regression(hidden))


def test_an_axis_of_one_level_that_changes_something_is_kept() -> None:
    steps = ("  axes:\n", "  axes:\n    steps:\n      few: {training.steps: 7}\n")
    assert [v.experiment.training.steps for v in expand(regression(steps))] == [7, 7]


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_experiment_expands(name: str) -> None:
    experiment = load(name)
    variants = expand(experiment)
    assert all(
        v.experiment.name == experiment.name and v.experiment.seeds == experiment.seeds for v in variants
    )


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_variant_is_its_own_single_variant_and_is_not_validated_again(name: str) -> None:
    for variant in expand(load(name)):
        assert single(variant.experiment) is variant.experiment
        assert [again.experiment for again in expand(variant.experiment)] == [variant.experiment]


DATASETS = (
    "ablation:\n  datasets:\n    d: {task.source.name: diabetes}\n    l: {task.source.name: linnerud}\n"
)


def named(experiment: Experiment, variant: str) -> Experiment:
    return experiment.model_copy(update={"variant": variant})


def test_the_single_variant_of_several_is_the_named_one() -> None:
    both = regression()
    assert single(named(both, "heteroscedastic")).variant == "heteroscedastic"
    assert single(named(both, "heteroscedastic")).objective.kind == "gaussian_nll"
    with pytest.raises(
        ConfigError, match=r"variant: the experiment has 2; choose with .* allowed: homoscedast"
    ):
        single(both)
    with pytest.raises(
        ConfigError, match=r"unknown value 'hetero'; choose .* allowed: homoscedastic, hetero"
    ):
        single(named(both, "hetero"))


def test_the_only_variant_need_not_be_named() -> None:
    one = regression(_without_levels()[1])
    assert single(one).variant == "homoscedastic"
    assert single(named(one, "homoscedastic")).variant == "homoscedastic"
    with pytest.raises(ConfigError, match="unknown value 'other'"):
        single(named(one, "other"))


def test_a_variant_on_two_datasets_is_not_single() -> None:
    both = regression(("ablation:\n", DATASETS))
    with pytest.raises(ConfigError, match="'heteroscedastic' is on the data sets diabetes, linnerud"):
        single(named(both, "heteroscedastic"))


@pytest.mark.parametrize(
    ("family", "confidence", "fewest"), [(1, 0.95, 6), (2, 0.95, 7), (1, 0.5, 2), (1, 0.6, 3)]
)
def test_the_fewest_units_are_those_whose_signs_alone_can_show_a_difference(
    family: int, confidence: float, fewest: int
) -> None:
    """All signs alike: two-sided p of scipy's binomial test, times the family."""
    assert fewest_units(family, confidence=confidence) == fewest
    p = [family * binomtest(n, n).pvalue for n in (fewest - 1, fewest)]
    assert p[1] <= 1 - confidence + 1e-12
    assert p[0] > 1 - confidence or fewest == 2


def test_pairs_differ_in_one_axis_where_the_baseline_has_its_first_level() -> None:
    experiment = language()
    variants = expand(experiment)
    assert [(p.axis, p.variant.name, p.baseline.name) for p in pairs(experiment, variants)] == [
        ("learning", "predictive_coding+dot_product", "backprop+dot_product"),
        ("learning", "predictive_coding+precision", "backprop+precision"),
        ("attention", "backprop+precision", "backprop+dot_product"),
        ("attention", "predictive_coding+precision", "predictive_coding+dot_product"),
    ]


def test_contrasts_of_named_axes_alone_are_those_of_all_axes_without_the_others() -> None:
    """At every level of the others, and the family is the smaller."""
    experiment = language()
    learning = language(("ablation:", "ablation:\n  contrasted: [learning]"))
    whole, part = (pairs(of, expand(of)) for of in (experiment, learning))
    assert [p.variant.name for p in part] == [p.variant.name for p in whole if p.axis == "learning"] != []
    every = language(("ablation:", "ablation:\n  contrasted: [attention, learning]"))
    assert [(p.axis, p.variant.name) for p in pairs(every, expand(every))] == [
        (p.axis, p.variant.name) for p in whole
    ]
    assert shortfall(learning) == "3 seeds, 2 contrasts: 7 needed"


def test_a_metric_that_one_data_set_has_not_is_refused_before_anything_is_trained() -> None:
    """How far predictions are above the optimum is known of drawn rows alone."""
    sine = ("source: {kind: scikit_learn, name: diabetes}", "source: {kind: sensors}")
    real = "  datasets: {drawn: {}, real: {task.source: {kind: scikit_learn, name: diabetes}}}\n"
    asked = ("ablation:\n", f"ablation:\n  metrics: [nll, excess_nll]\n{real}")
    with pytest.raises(
        ConfigError, match=r"metrics: the variant 'homoscedastic' on dataset 'diabetes' has no metric"
    ):
        expand(regression(sine, asked))


def test_a_level_of_tests_is_no_confidence() -> None:
    with pytest.raises(
        ConfigError, match=r"ablation\.confidence: given 0\.05; should be greater than or equal to 0\.5"
    ):
        regression(("ablation:\n", "ablation:\n  confidence: 0.05\n"))


def test_a_contrasted_axis_that_is_none_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"ablation\.contrasted: unknown axis 'lerning'; allowed: .*did you mean"
    ):
        language(("ablation:", "ablation:\n  contrasted: [lerning]"))


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ("[0, 1, 2]", "3 seeds, 4 contrasts: 8 needed"),
        ("[5]", "1 seed, 4 contrasts: 8 needed"),
        ("[0, 1, 2, 3, 4, 5, 6]", "7 seeds, 4 contrasts: 8 needed"),
        ("[0, 1, 2, 3, 4, 5, 6, 7]", None),
    ],
)
def test_a_design_that_can_reach_no_verdict_says_how_many_it_needs(seeds: str, said: str | None) -> None:
    assert shortfall(language(("seeds: [0, 1, 2]", f"seeds: {seeds}"))) == said


def test_splits_are_counted_where_there_are_several_and_contrasts_on_one_dataset() -> None:
    datasets = (
        "ablation:\n  datasets:\n    d: {task.source.name: diabetes}\n    l: {task.source.name: linnerud}\n"
    )
    few = ("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [0, 1, 2]")
    assert shortfall(regression(("ablation:\n", datasets), few)) == "3 splits, 1 contrast: 6 needed"
    assert shortfall(regression(("ablation:\n", datasets))) is None


def test_nothing_is_needed_where_nothing_is_contrasted() -> None:
    bare = language().model_dump(mode="json") | {"ablation": {}, "seeds": [0]}
    assert shortfall(language().model_validate(bare)) is None


@pytest.mark.parametrize("name", sorted(n for n in shipped() if n.startswith("quickstart")))
def test_the_quickstarts_can_reach_verdicts_and_state_what_does_not_matter(name: str) -> None:
    experiment = load(name)
    assert shortfall(experiment) is None
    assert set(experiment.ablation.margins) == set(experiment.ablation.metrics or experiment.task.headline)
