"""What a trained model states about a target: one network, an ensemble, dropout left on, beliefs over weights."""

import math
from collections.abc import Sequence
from typing import Protocol, assert_never

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from precisionflow.config import Experiment
from precisionflow.config.likelihoods import CrossEntropy, GaussianNLL, Natural, RegressionObjective
from precisionflow.config.networks import MLP, TAGI
from precisionflow.config.posteriors import Ensemble, LaplaceApproximation, MonteCarloDropout, Point
from precisionflow.config.tasks import Characters
from precisionflow.models.likelihoods import Mixture, mixture
from precisionflow.models.networks.build import build, features_of
from precisionflow.models.networks.layered import Layered
from precisionflow.models.posteriors import laplace, tagi
from precisionflow.models.posteriors.spread import fitted_factor, spread
from precisionflow.records.cards import DatasetCard

POSTERIOR = "posterior."
"""Begins the names of what a file of weights holds beside the network's."""
Features = Float[Tensor, "rows features"]
Chosen = Int[Tensor, "rows chosen"]
"""Members of an ensemble, of every row as many."""


class Predictive(Protocol):
    """Standardised features in, distributions of the standardised target out."""

    def predict(self, features: Features, *, among: Chosen | None = None) -> Mixture:
        """One mixture a row; of an ensemble, if given, each row's `among` its members alone."""
        ...


class Network(nn.Module):
    """The trained weights, taken as certain."""

    def __init__(self, model: Layered, objective: RegressionObjective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def predict(self, features: Features, *, among: Chosen | None = None) -> Mixture:  # noqa: ARG002
        return mixture(self.objective, self.model(features))


class Members(nn.Module):
    """An ensemble: every tensor of its weights has a leading axis of members, which count alike."""

    def __init__(
        self,
        model: Layered,
        objective: RegressionObjective,
        weights: dict[str, Tensor],
        *,
        count: int,
        factor: float = 1.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.count = count
        self.factor = factor
        """On the spread about the mean."""
        self.names = list(weights)
        for index, tensor in enumerate(weights.values()):
            self.register_buffer(f"stacked_{index}", tensor)

    def predict(self, features: Features, *, among: Chosen | None = None) -> Mixture:
        stacked = dict(zip(self.names, self.buffers(recurse=False), strict=True))
        outputs = [
            functional_call(self.model, {name: tensor[member] for name, tensor in stacked.items()}, features)
            for member in range(self.count)
        ]
        stated = together([mixture(self.objective, raw) for raw in outputs])
        if among is not None:
            stated = stated.among(among, members=self.count)
        return stated if self.factor == 1 else spread(stated, self.factor)


class Dropout(nn.Module):
    """Networks that differ in the units that are dropped, drawn anew for each sample, the same at every call."""

    def __init__(self, model: Layered, objective: RegressionObjective, *, samples: int) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.samples = samples

    def predict(self, features: Features, *, among: Chosen | None = None) -> Mixture:  # noqa: ARG002
        self.model.train()
        devices = [features.device] if features.is_cuda else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(0)
            outputs = [self.model(features) for _ in range(self.samples)]
        self.model.eval()
        return together([mixture(self.objective, raw) for raw in outputs])


class Linearised(nn.Module):
    """A network with a Gaussian over its weights: the mean has a variance of its own."""

    def __init__(self, model: Layered, objective: laplace.Stated, posterior: laplace.Posterior) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.names = posterior.names
        self.register_buffer("factor", posterior.factor)
        self.register_buffer("prior", posterior.prior)

    def predict(self, features: Features, *, among: Chosen | None = None) -> Mixture:  # noqa: ARG002
        stated = mixture(self.objective, self.model(features))
        posterior = laplace.Posterior(self.names, self.get_buffer("factor"), self.get_buffer("prior"))
        epistemic = laplace.mean_variance(self.model, self.objective, posterior, features)[:, None]
        noise = torch.exp(-stated.log_precision.double())
        return stated._replace(log_precision=-torch.log(noise + epistemic), belief=epistemic.sqrt())


class ClosedForm(nn.Module):
    """Gaussian beliefs over all weights: the belief in the mean and the expected noise are told apart."""

    def __init__(self, beliefs: tagi.BeliefNetwork, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.beliefs = beliefs
        self.beliefs.load_state_dict(weights)

    def predict(self, features: Features, *, among: Chosen | None = None) -> Mixture:  # noqa: ARG002
        one = {name: tensor[None] for name, tensor in self.beliefs.named_parameters()}
        said = tagi.stated(tagi.forward(one, features[None])[-1])
        mean, epistemic, noise = (part[0, :, None] for part in said)
        log_precision = -torch.log(epistemic + noise)
        return Mixture(
            "gaussian", mean, log_precision, torch.zeros_like(mean), belief=epistemic.clamp_min(0).sqrt()
        )


def together(parts: Sequence[Mixture]) -> Mixture:
    """The mixture of several mixtures of one family, all of equal weight."""
    degrees = [part.degrees_of_freedom for part in parts if part.degrees_of_freedom is not None]
    return Mixture(
        parts[0].family,
        torch.cat([part.location for part in parts], dim=-1),
        torch.cat([part.log_precision for part in parts], dim=-1),
        torch.cat([part.log_weight for part in parts], dim=-1) - math.log(len(parts)),
        torch.cat(degrees, dim=-1) if degrees else None,
    )


def predictive(experiment: Experiment, card: DatasetCard, weights: dict[str, Tensor]) -> nn.Module:
    """The trained model of an experiment: a Predictive, or of a text the network itself.

    RuntimeError for weights of another network.
    """
    if isinstance(experiment.model, TAGI):
        return ClosedForm(tagi.BeliefNetwork(tagi.sizes(experiment.model, features_of(card))), weights)
    model = build(experiment, card)
    if isinstance(experiment.task, Characters):
        model.load_state_dict(weights)
        return model
    objective = experiment.objective
    assert not isinstance(objective, CrossEntropy)
    assert isinstance(experiment.model, MLP)
    match experiment.model.posterior:
        case Ensemble(members=count) as ensemble:
            times = float(_taken(weights, "spread")) if ensemble.spread == "fitted" else 1.0
            if not (math.isfinite(times) and times > 0):
                raise RuntimeError(f"{POSTERIOR}spread is {times}, wanted a positive number")
            _check_stacked(model, weights, count=count)
            return Members(model, objective, weights, count=count, factor=times)
        case MonteCarloDropout(samples=samples):
            model.load_state_dict(weights)
            return Dropout(model, objective, samples=samples)
        case Point():
            model.load_state_dict(weights)
            return Network(model, objective)
        case LaplaceApproximation(weights=chosen):
            assert isinstance(objective, GaussianNLL | Natural)
            factor, prior = _taken(weights, "factor"), _taken(weights, "prior")
            model.load_state_dict(weights)
            names = laplace.names_of(model, weights=chosen)
            return Linearised(model, objective, laplace.Posterior(names, factor, prior))
        case _:
            assert_never(experiment.model.posterior)


def posterior_of(
    experiment: Experiment,
    card: DatasetCard,
    weights: dict[str, Tensor],
    features: Features,
    target: Float[Tensor, "rows"],
) -> dict[str, Tensor]:
    """What belongs into the file of weights beside the trained network's: nothing but for a Laplace approximation."""
    posterior = experiment.model.posterior if isinstance(experiment.model, MLP) else None
    if not isinstance(posterior, LaplaceApproximation):
        return {}
    objective = experiment.objective
    assert isinstance(objective, GaussianNLL | Natural)
    model = build(experiment, card)
    model.load_state_dict(weights)
    found = laplace.fit(model.eval(), objective, features, target, weights=posterior.weights)
    return {f"{POSTERIOR}factor": found.factor, f"{POSTERIOR}prior": found.prior}


def spread_of(
    experiment: Experiment, raw: Sequence[Float[Tensor, "rows outputs"]], target: Float[Tensor, "rows"]
) -> dict[str, Tensor]:
    """The same for an ensemble with a fitted spread: `raw` are the outputs of each member that left a row out."""
    assert isinstance(experiment.model, MLP)
    ensemble, objective = experiment.model.posterior, experiment.objective
    assert isinstance(ensemble, Ensemble)
    assert not isinstance(objective, CrossEntropy)
    stated = together([mixture(objective, of) for of in raw])
    factor = fitted_factor(stated, target, left_out=len(raw), members=ensemble.members)
    return {f"{POSTERIOR}spread": torch.tensor(factor, dtype=torch.float64)}


def _taken(weights: dict[str, Tensor], name: str) -> Tensor:
    """What `posterior_of` has put beside the networks, taken out."""
    if f"{POSTERIOR}{name}" not in weights:
        raise RuntimeError(f"{POSTERIOR}{name} is missing")
    return weights.pop(f"{POSTERIOR}{name}")


def _check_stacked(model: Layered, weights: dict[str, Tensor], *, count: int) -> None:
    wanted = {name: (count, *tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if wanted != given:
        different = sorted(name for name in wanted | given if wanted.get(name) != given.get(name))
        raise RuntimeError(
            f"{different[0]} has the shape {given.get(different[0])}, wanted {wanted.get(different[0])}"
        )
