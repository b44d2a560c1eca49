"""What a file of weights is believed to predict, posterior by posterior; weights that do not fit are refused."""

import math

import pytest
import torch
from cards import card
from torch.func import functional_call, stack_module_state

from precisionflow.config import Experiment, resolve
from precisionflow.models.likelihoods.categorical import Categorical, Voices
from precisionflow.models.likelihoods.mixture import Mixture
from precisionflow.models.likelihoods.objective import density
from precisionflow.models.networks.build import build
from precisionflow.models.posteriors import dropout, ensemble, laplace, tagi
from precisionflow.models.posteriors.build import fitted_laplace, fitted_spread, predictive
from precisionflow.models.posteriors.spread import fitted_factor
from precisionflow.models.posteriors.weights import Weights

FEATURES, CLASSES = 4, 3
CARD = card(features=FEATURES, classes=CLASSES)
NUMBER = {"kind": "regression", "source": {"kind": "scikit_learn", "name": "diabetes"}}
CLASS = {"kind": "classification", "source": {"kind": "scikit_learn_classes", "name": "digits"}}


def experiment(posterior: dict, *, task: dict = NUMBER, **model: object) -> Experiment:
    described = {"kind": "mlp", "hidden": [5], "posterior": posterior} | model
    objective = "gaussian_nll" if task is NUMBER else "cross_entropy"
    engine = {"kind": "batched"}
    return resolve(
        {"name": "p", "task": task, "model": described, "objective": {"kind": objective}, "engine": engine}
    )


def network(described: Experiment, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    made = build(described, CARD)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made.eval()


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(9, FEATURES, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def target() -> torch.Tensor:
    return torch.randn(9, generator=torch.Generator().manual_seed(2))


def densities(found: Mixture, expected: Mixture, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return found.log_density(target), expected.log_density(target)


def test_a_point_is_the_network_itself(rows, target):
    described = experiment({"kind": "point"})
    made = network(described)
    found = predictive(described, CARD, Weights(made.state_dict()))
    torch.testing.assert_close(
        *densities(found.predict(rows), density(described.objective).predictive(made(rows)), target)
    )


def test_classes_are_what_the_network_states(rows):
    described = experiment({"kind": "point"}, task=CLASS)
    made = network(described)
    found = predictive(described, CARD, Weights(made.state_dict())).predict(rows)
    torch.testing.assert_close(found.log_probabilities(), made(rows).log_softmax(-1))


def stacked_of(models: list[torch.nn.Module]) -> dict[str, torch.Tensor]:
    return {name: part.detach() for name, part in stack_module_state(models)[0].items()}


@pytest.mark.parametrize("factor", [None, 2.0])
def test_members_of_an_ensemble_have_equal_weight_and_their_spread(rows, factor):
    spread = {"spread": "fitted", "folds": 2} if factor else {}
    described = experiment({"kind": "ensemble", "members": 4} | spread)
    models = [network(described, seed) for seed in range(4)]
    believed = ensemble.as_tensor(factor) if factor else {}
    found = predictive(described, CARD, Weights(stacked_of(models), believed)).predict(rows)
    likelihood = density(described.objective)
    each = torch.stack([likelihood.predictive(model(rows)).location[:, 0] for model in models])
    torch.testing.assert_close(found.mean, each.mean(0))
    expected = each.mean(0) + (factor or 1) * (each - each.mean(0))
    torch.testing.assert_close(found.location, expected.T)


def test_members_of_a_classifier_have_equal_weight(rows):
    described = experiment({"kind": "ensemble", "members": 4}, task=CLASS)
    models = [network(described, seed) for seed in range(4)]
    found = predictive(described, CARD, Weights(stacked_of(models))).predict(rows)
    each = torch.stack([model(rows).softmax(-1) for model in models])
    torch.testing.assert_close(found.log_probabilities().exp(), each.mean(0))


@pytest.mark.parametrize("factor", [0.0, -1.0, math.inf, math.nan])
def test_a_spread_is_a_positive_number(factor):
    described = experiment({"kind": "ensemble", "spread": "fitted", "members": 4, "folds": 2})
    models = [network(described, seed) for seed in range(4)]
    weights = Weights(stack_module_state(models)[0], ensemble.as_tensor(factor))
    with pytest.raises(RuntimeError, match=r"posterior.spread is .*, wanted a positive number"):
        predictive(described, CARD, weights)


def test_members_that_are_too_few_are_refused_by_the_tensors_name():
    described = experiment({"kind": "ensemble", "members": 4})
    models = [network(described, seed) for seed in range(3)]
    with pytest.raises(RuntimeError, match=r"has the shape \(3, .*, wanted \(4, "):
        predictive(described, CARD, Weights(stack_module_state(models)[0]))
    one = network(described).state_dict()
    with pytest.raises(RuntimeError, match=r"has the shape None, wanted \(4, "):
        predictive(
            described,
            CARD,
            Weights({name: part[None].expand(4, *part.shape) for name, part in list(one.items())[1:]}),
        )


def test_samples_of_dropout_follow_the_key(rows, target):
    described = experiment({"kind": "mc_dropout", "samples": 6}, dropout=0.5)
    made = network(described)
    found = predictive(described, CARD, Weights(made.state_dict(), dropout.as_tensor(5))).predict(rows)
    expected = dropout.Dropout(made, density(described.objective), key=torch.tensor(5), samples=6).predict(
        rows
    )
    assert found.location.shape == (9, 6)
    torch.testing.assert_close(*densities(found, expected, target))


@pytest.mark.parametrize("task", [NUMBER, CLASS], ids=["number", "class"])
@pytest.mark.parametrize("scope", ["last_layer", "all"])
def test_a_laplace_approximation_is_the_fitted_one(rows, target, task, scope):
    described = experiment({"kind": "laplace_approximation", "weights": scope}, task=task)
    made = network(described)
    seen = target if task is NUMBER else (torch.arange(9) % CLASSES).float()
    fitted = fitted_laplace(described, CARD, made.state_dict(), rows, seen, scope=scope)
    found = predictive(described, CARD, Weights(made.state_dict(), fitted)).predict(rows)
    likelihood = density(described.objective) if task is NUMBER else Categorical()
    posterior = laplace.fit(made, likelihood, rows, seen, weights=scope)
    kind = laplace.LaplaceApproximation if task is NUMBER else laplace.LaplaceClasses
    expected = kind(made, likelihood, posterior).predict(rows)
    if isinstance(expected, Voices):
        torch.testing.assert_close(found.logits, expected.logits)
        assert found.logits.shape[-2] == laplace.SAMPLES
    else:
        torch.testing.assert_close(*densities(found, expected, target))
        assert (found.location_std > 0).all()


def test_beliefs_of_all_weights_are_a_predictive(rows, target):
    described = resolve(
        {
            "name": "p",
            "task": NUMBER,
            "model": {"kind": "tagi_v", "hidden": [5]},
            "objective": {"kind": "gaussian_nll"},
            "engine": {"kind": "batched"},
        }
    )
    torch.manual_seed(0)
    beliefs = tagi.BeliefNetwork((FEATURES, 5, 2))
    found = predictive(described, CARD, Weights(beliefs.state_dict()))
    expected = tagi.TAGIPredictive(tagi.BeliefNetwork((FEATURES, 5, 2)), beliefs.state_dict())
    torch.testing.assert_close(*densities(found.predict(rows), expected.predict(rows), target))


def test_a_network_of_steps_is_a_point(rows):
    described = resolve(
        {
            "name": "p",
            "task": NUMBER,
            "model": {"kind": "fusion", "sources": 2, "length": 2},
            "objective": {"kind": "gaussian_nll"},
        }
    )
    made = network(described)
    found = predictive(described, CARD, Weights(made.state_dict())).predict(rows)
    torch.testing.assert_close(found.mean, made(rows)[:, 0])


def test_the_spread_is_fitted_to_what_members_left_out(target):
    described = experiment({"kind": "ensemble", "spread": "fitted", "members": 4, "folds": 2})
    raw = torch.randn(2, 9, 2, generator=torch.Generator().manual_seed(3))
    weight = torch.rand(9, generator=torch.Generator().manual_seed(4)) + 0.5
    found = fitted_spread(described, list(raw), target, weight=weight, members=4)
    likelihood = density(described.objective)
    mixtures = likelihood.pooled([likelihood.predictive(of) for of in raw])
    expected = fitted_factor(mixtures, target, weight=weight, out_of_fold=2, members=4)
    assert found == ensemble.as_tensor(expected)


def test_weights_of_another_network_are_refused():
    described, other = experiment({"kind": "point"}), experiment({"kind": "point"}, hidden=[6])
    with pytest.raises(RuntimeError, match="size mismatch"):
        predictive(described, CARD, Weights(network(other).state_dict()))
    made = network(described)
    assert functional_call(made, made.state_dict(), torch.zeros(1, FEATURES)).shape == (1, 2)
