"""The optimiser of every engine: AdamW, or Muon for matrices beside it; one learning rate and decay for each group.

Engines of one network have one of torch's classes. Stacked networks have the function under torch's AdamW: the class
imports torch's compiler, and is asked for anew whenever networks leave.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, assert_never

import torch
from jaxtyping import Int
from torch import Tensor
from torch.optim.adamw import adamw

from precisionflow.config.optimiser import AdamW, GroupName, Muon
from precisionflow.config.training import Training

OF_MUON: frozenset[GroupName] = frozenset({"attention", "feed_forward"})
"""Groups whose matrices Muon takes."""


_BETAS, _EPSILON = (0.9, 0.999), 1e-8
"""Of AdamW: decay of the moments, and what is added to the root of the second one."""


class _Settings(NamedTuple):
    muon: bool
    peak: float
    """Learning rate where the schedule is at its peak."""
    weight_decay: float


def optimiser(
    parameters: Iterable[tuple[str, Tensor]],
    training: Training,
    *,
    groups: Mapping[str, GroupName],
    fused: bool = False,
) -> torch.optim.Optimizer:
    """The configured optimiser over named parameters, each in the group that `groups` says of its name.

    Parameters with like settings are one of torch's parameter groups, which keeps its `peak` learning rate.
    `fused`: AdamW takes one pass over memory a step; every gradient has to be contiguous, else torch 2 takes wrong
    elements of it.
    """
    named = dict(parameters)
    made: list[dict[str, Any]] = [
        {"params": [named[name] for name in alike], "lr": settings.peak, **settings._asdict()}
        for settings, alike in _alike(named, training, groups).items()
    ]
    match training.optimiser:
        case AdamW():
            return torch.optim.AdamW(made, betas=_BETAS, eps=_EPSILON, fused=fused)
        case Muon(momentum=momentum):
            return MuonBesideAdamW(made, momentum=momentum, fused=fused)
        case _:
            assert_never(training.optimiser)


class StackedAdamW:
    """AdamW over weights whose first axis is that of networks, so that its state can be that of some of them.

    `state`: name -> running means of the gradient and of its square, and the number of steps.
    """

    def __init__(
        self, weights: Mapping[str, Tensor], training: Training, *, groups: Mapping[str, GroupName]
    ) -> None:
        assert isinstance(training.optimiser, AdamW), "no other is offered for stacked networks"
        self._weights, self._alike = weights, _alike(weights, training, groups)
        self.state = {
            name: (torch.zeros_like(weight), torch.zeros_like(weight), weight.new_zeros(()))
            for name, weight in weights.items()
        }

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor], *, share: float) -> None:
        """One step at a share of the peak learning rates; torch 2 takes wrong elements of a strided gradient."""
        for settings, names in self._alike.items():
            means, squares, steps = zip(*(self.state[name] for name in names), strict=True)
            adamw(
                [self._weights[name] for name in names],
                [gradients[name].contiguous() for name in names],
                [*means],
                [*squares],
                [],
                [*steps],
                fused=True,
                amsgrad=False,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                lr=share * settings.peak,
                weight_decay=settings.weight_decay,
                eps=_EPSILON,
                maximize=False,
            )

    def state_of(self, networks: Int[Tensor, "chosen"]) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
        """State of the networks at these places."""
        return {
            name: (mean[networks], square[networks], steps)
            for name, (mean, square, steps) in self.state.items()
        }


def _alike(
    parameters: Mapping[str, Tensor], training: Training, groups: Mapping[str, GroupName]
) -> dict[_Settings, list[str]]:
    """Names of parameters by their settings."""
    alike: dict[_Settings, list[str]] = defaultdict(list)
    for name, parameter in parameters.items():
        alike[_settings(parameter, training, groups[name])].append(name)
    return alike


def _settings(parameter: Tensor, training: Training, name: GroupName) -> _Settings:
    group, rate, chosen = training.groups[name], training.learning_rate, training.optimiser
    muon = isinstance(chosen, Muon) and name in OF_MUON and parameter.ndim == 2
    if isinstance(chosen, Muon) and muon:
        rate = chosen.learning_rate
    decay = training.weight_decay if group.weight_decay is None else group.weight_decay
    return _Settings(muon, group.learning_rate_factor * rate, decay)


class MuonBesideAdamW(torch.optim.Optimizer):
    """Parameter groups with `muon` follow Muon, the others AdamW; state and groups are one, as engines expect.

    Muon: W <- W (1 - rate decay) - rate sqrt(max(1, rows / columns)) O, where O is the semi-orthogonal matrix nearest
    to the Nesterov momentum of the gradient, by five Newton-Schulz steps (Jordan 2024): singular values near 1.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], *, momentum: float, fused: bool = False) -> None:
        self._adamw = torch.optim.AdamW(
            [group for group in groups if not group["muon"]], betas=_BETAS, eps=_EPSILON, fused=fused
        )
        self._muon = torch.optim.Muon([group for group in groups if group["muon"]], momentum=momentum)
        super().__init__([*self._adamw.param_groups, *self._muon.param_groups], {})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of both."""
        assert closure is None, "a closure would be called by both"
        for part in (self._adamw, self._muon):
            part.state = self.state
            part.param_groups = [g for g in self.param_groups if g["muon"] == (part is self._muon)]
            part.step()


def set_learning_rates(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Give every parameter group a share of its peak learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = share * group["peak"]
