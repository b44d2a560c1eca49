"""Construction of predictive distributions from trained weights, and of posteriors from training rows."""

from collections.abc import Iterable, Sequence
from typing import assert_never

from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config import Experiment
from precisionflow.config import posteriors as kinds
from precisionflow.config.agents import Agent
from precisionflow.config.allocation import Budgeted
from precisionflow.config.external import External
from precisionflow.config.filters import Filter
from precisionflow.config.likelihoods import (
    AdaptiveSoftmax,
    AllocationElbo,
    CrossEntropy,
    ExpectedFreeEnergy,
    FreeEnergy,
)
from precisionflow.config.memories import AssociativeMemory
from precisionflow.config.networks import MLP, TAGI, Clusters, Fusion, Generative, Slots, Transformer
from precisionflow.config.tasks import SequenceClassification, Tagging
from precisionflow.models.likelihoods.categorical import Categorical
from precisionflow.models.likelihoods.density import Density, FisherDensity
from precisionflow.models.likelihoods.mixture import pooled
from precisionflow.models.likelihoods.objective import density
from precisionflow.models.networks.build import build, features_of
from precisionflow.models.posteriors import ensemble, laplace, last_layer, tagi
from precisionflow.models.posteriors.dropout import KEY, Dropout
from precisionflow.models.posteriors.point import Point
from precisionflow.models.posteriors.predictive import Features
from precisionflow.models.posteriors.spread import fitted_factor
from precisionflow.models.posteriors.weights import Weights
from precisionflow.records.cards import DatasetCard


def predictive(experiment: Experiment, card: DatasetCard, weights: Weights) -> nn.Module:
    """The trained model of a table or of classes of texts, a `Predictive`.

    RuntimeError for weights of another network.
    """
    match experiment.model:
        case TAGI() as model:
            beliefs = tagi.BeliefNetwork(tagi.sizes(model, features_of(card)))
            return tagi.TAGIPredictive(beliefs, weights.network)
        case Generative() | Slots() | Clusters() | AssociativeMemory() | Budgeted() | Agent() | External():
            raise TypeError("models of images, agents and models from outside have no weights of a number")
        case Fusion() | Filter():
            return _of_posterior(kinds.Point(), experiment, card, weights)
        case MLP(posterior=posterior) | Transformer(posterior=posterior):
            return _of_posterior(posterior, experiment, card, weights)
        case _:
            assert_never(experiment.model)


def _of_posterior(
    posterior: kinds.Posterior, experiment: Experiment, card: DatasetCard, weights: Weights
) -> nn.Module:
    model, likelihood = build(experiment, card), _likelihood(experiment)
    if isinstance(posterior, kinds.Ensemble):
        return ensemble.ensemble(posterior, model, likelihood, weights)
    model.load_state_dict(weights.network)
    match posterior:
        case kinds.MonteCarloDropout(samples=samples):
            return Dropout(model, likelihood, key=weights.believed(KEY), samples=samples)
        case kinds.Point():
            return Point(model, likelihood)
        case kinds.LaplaceApproximation() if isinstance(experiment.task, SequenceClassification | Tagging):
            return last_layer.last_layer(model, weights)
        case kinds.LaplaceApproximation(weights=scope):
            assert isinstance(likelihood, FisherDensity | Categorical)
            return laplace.laplace_approximation(model, likelihood, weights, scope=scope)
        case _:
            assert_never(posterior)


def fitted_laplace(
    experiment: Experiment,
    card: DatasetCard,
    network: dict[str, Tensor],
    features: Features,
    target: Float[Tensor, "rows"],
    *,
    scope: laplace.Scope,
) -> dict[str, Tensor]:
    """The Laplace approximation around a trained network, from training rows."""
    model, likelihood = build(experiment, card), _likelihood(experiment)
    assert isinstance(likelihood, FisherDensity | Categorical)
    model.load_state_dict(network)
    return laplace.as_tensors(laplace.fit(model.eval(), likelihood, features, target, weights=scope))


def fitted_last_layer(
    experiment: Experiment,
    card: DatasetCard,
    network: dict[str, Tensor],
    batches: Iterable[last_layer.Taught],
) -> dict[str, Tensor]:
    """The same over the last linear map of a classifier of texts or of their tokens."""
    model = build(experiment, card)
    model.load_state_dict(network)
    return laplace.as_tensors(last_layer.fit(model.eval(), batches))


def fitted_spread(
    experiment: Experiment,
    raw: Sequence[Float[Tensor, "rows outputs"]],
    target: Float[Tensor, "rows"],
    *,
    weight: Float[Tensor, "rows"],
    members: int,
) -> dict[str, Tensor]:
    """The spread of an ensemble of `members`; `raw` are the outputs of each member that a row is out of fold for."""
    likelihood = _likelihood(experiment)
    assert isinstance(likelihood, Density)
    mixtures = pooled([likelihood.predictive(of) for of in raw])
    return ensemble.as_tensor(
        fitted_factor(mixtures, target, weight=weight, out_of_fold=len(raw), members=members)
    )


def _likelihood(experiment: Experiment) -> Density | Categorical:
    if isinstance(experiment.objective, CrossEntropy):
        return Categorical()
    assert not isinstance(
        experiment.objective, AdaptiveSoftmax | FreeEnergy | ExpectedFreeEnergy | AllocationElbo
    ), "no posterior states clusters, images or policies"
    return density(experiment.objective)
