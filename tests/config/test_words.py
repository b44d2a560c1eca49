"""Words of the command line that name an experiment: `load` takes them for this very one."""

import pytest

from precisionflow.config import load
from precisionflow.config.words import words_of


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("seeds=[3, 1]", "training.steps=7"),
        ("engine.kind=torch", "objective.kind=homoscedastic"),
        ("ablation.axes.objective.beta_nll_1={objective.kind: gaussian_nll, objective.beta: 1.0}",),
        ("question='Does it, with a \"quote\"?'",),
    ],
)
def test_words_of_a_shipped_experiment_are_the_experiment(settings: tuple[str, ...]) -> None:
    experiment = load("toy", settings)
    words = words_of(experiment)
    assert words is not None
    name, *options = words
    assert (name, options[::2]) == ("toy", ["--set"] * len(settings))
    assert load(name, options[1::2]) == experiment


def test_another_experiment_has_no_words() -> None:
    assert words_of(load("toy", ["name=mine"])) is None
