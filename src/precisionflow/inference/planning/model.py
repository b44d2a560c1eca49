"""Discrete generative models: p(o, s' | s, u) of a partially observed Markov decision process, in factors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import psi

from precisionflow.inference.planning.categorical import Array
from precisionflow.inference.planning.given import each, numbers, require_shape

TOLERANCE = 1e-8
"""How far a sum of probabilities may be from 1."""
MOST_NUMBERS = 30_000_000
"""Most numbers of one joint table."""


class Joint(NamedTuple):
    """The model over joint states, joint controls (actions) and those joint observations that some state can give."""

    likelihood: Float[Array, "outcomes states"]
    """p(o | s); where a modality has counts, its mean over the belief about its parameters."""
    transition: Float[Array, "actions next states"]
    """p(s' | s, u)."""
    log_preference: Float[Array, "outcomes"]
    """ln p~(o): the sum over modalities."""
    prior: Float[Array, "states"]
    novelty: Float[Array, "outcomes states"]
    """KL[q(theta | o, s) || q(theta)] >= 0 of one more count of o in s: 0 where the modality has no counts."""
    codes: Int[Array, "outcomes"]
    """Index of each among all combinations of outcomes of the modalities, rising."""
    log_state_preference: Float[Array, "states"] | None
    """ln p~(s); none: nothing is preferred about states."""


@dataclass(frozen=True)
class DiscreteModel:
    """p(o, s' | s, u) = prod_m A_m[o_m, s'] prod_f B_f[s'_f, s_f, u_f], with preferences and a prior.

    ValueError, in one line, for a table of another shape, for probabilities that are negative or do not sum to 1.
    """

    likelihood: Sequence[Float[Array, "outcomes *factors"]]
    """A of each modality: p(o_m | s), an axis for the outcome and one for each factor of the state."""
    transition: Sequence[Float[Array, "next previous controls"]]
    """B of each factor: p(s'_f | s_f, u_f), with a control of its own; one control: nothing moves it at will."""
    log_preference: Sequence[Float[Array, "outcomes"]]
    """C of each modality: ln p~(o_m), logarithms of probabilities."""
    prior: Sequence[Float[Array, "states"]]
    """D of each factor: p(s_f) before the first observation."""
    counts: Sequence[Float[Array, "outcomes *factors"] | None] = ()
    """Dirichlet counts of each A that is learned, whose mean then has to be A; none, or no entry: A is known."""
    log_state_preference: Float[Array, "*factors"] | None = field(default=None)
    """ln p~(s) over joint states."""

    def __post_init__(self) -> None:
        for name in ("likelihood", "transition", "log_preference", "prior", "counts"):
            object.__setattr__(self, name, _tables(name, getattr(self, name)))
        if self.log_state_preference is not None:
            wanted = numbers("log_state_preference", self.log_state_preference)
            object.__setattr__(self, "log_state_preference", wanted)
        _check(self)

    @cached_property
    def states(self) -> tuple[int, ...]:
        """Number of states of each factor."""
        return tuple(len(prior) for prior in self.prior)

    @cached_property
    def controls(self) -> tuple[int, ...]:
        """Number of controls of each factor."""
        return tuple(table.shape[2] for table in self.transition)

    @cached_property
    def outcomes(self) -> tuple[int, ...]:
        """Number of outcomes of each modality."""
        return tuple(len(table) for table in self.likelihood)

    @cached_property
    def joint(self) -> Joint:
        """The model over joint states, actions and observations; ValueError where that is too large."""
        likelihood, codes = self._observations()
        each = np.unravel_index(codes, self.outcomes)
        states = likelihood.shape[1]
        preference = sum(log[of] for log, of in zip(self.log_preference, each, strict=True))
        novelty = np.zeros_like(likelihood)
        for table, of in zip(self.counts, each, strict=False):
            if table is not None:
                novelty += information_gain(table.reshape(len(table), states))[of]
        wanted = self.log_state_preference
        return Joint(
            likelihood,
            reduce(_joined, (np.moveaxis(table, 2, 0) for table in self.transition)),
            np.asarray(preference),
            reduce(np.kron, self.prior),
            novelty,
            codes,
            None if wanted is None else wanted.reshape(-1),
        )

    def _observations(self) -> tuple[Array, Array]:
        """p(o | s) of the joint observations that some state can give, and their codes."""
        states = int(np.prod(self.states))
        likelihood, codes = np.ones((1, states)), np.zeros(1, dtype=np.int64)
        for index, table in enumerate(self.likelihood):
            if len(codes) * len(table) * states > MOST_NUMBERS:
                raise ValueError(
                    f"likelihood[{index}]: joint observations times states are {len(codes) * len(table) * states:,}; "
                    f"{MOST_NUMBERS:,} are the most, use fewer modalities, outcomes or states"
                )
            flat = table.reshape(len(table), states)
            likelihood = (likelihood[:, None] * flat).reshape(-1, states)
            codes = (codes[:, None] * len(table) + np.arange(len(table))).reshape(-1)
            possible = likelihood.any(axis=1)
            likelihood, codes = likelihood[possible], codes[possible]
        return likelihood, codes


def information_gain(counts: Float[Array, "outcomes states"]) -> Float[Array, "outcomes states"]:
    """KL[Dir(a + e_o) || Dir(a)] = ln a_0 - ln a_o + psi(a_o + 1) - psi(a_0 + 1) >= 0, a_0 the sum of a column.

    Its mean under a / a_0 is the mutual information of the column's parameters and the next outcome.
    """
    total = counts.sum(axis=0)
    return np.asarray(np.log(total) - np.log(counts) + psi(counts + 1) - psi(total + 1))


def _joined(first: Array, second: Array) -> Array:
    """Kronecker product of every pair of controls: one matrix for each joint action."""
    return np.asarray([np.kron(one, other) for one in first for other in second])


def _tables(name: str, given: object) -> tuple[Array | None, ...]:
    """Arrays of numbers; counts may lack some."""
    tables = enumerate(each(name, given, "a table for each factor or modality"))
    return tuple(
        None if one is None and name == "counts" else numbers(f"{name}[{index}]", one)
        for index, one in tables
    )


def _check(model: DiscreteModel) -> None:
    if not model.prior or not model.likelihood:
        raise ValueError(f"{'likelihood' if model.prior else 'prior'}: has no table; give at least one")
    states = tuple(len(prior) for prior in model.prior)
    for index, table in enumerate(model.prior):
        _distributions(f"prior[{index}]", table, (len(table),))
    _as_many("transition", len(model.transition), "prior", len(states))
    for index, (table, size) in enumerate(zip(model.transition, states, strict=True)):
        controls = table.shape[2] if table.ndim == 3 else 1
        _distributions(f"transition[{index}]", table, (size, size, max(1, controls)))
    _as_many("log_preference", len(model.log_preference), "likelihood", len(model.likelihood))
    for index, (table, wanted) in enumerate(zip(model.likelihood, model.log_preference, strict=True)):
        _distributions(f"likelihood[{index}]", table, (len(table), *states))
        _preference(f"log_preference[{index}]", wanted, (len(table),))
    if model.log_state_preference is not None:
        _preference("log_state_preference", model.log_state_preference, states)
    if len(model.counts) > len(model.likelihood):
        raise ValueError(
            f"counts: has {len(model.counts)} tables and likelihood {len(model.likelihood)}; give none more"
        )
    for index, counts in enumerate(model.counts):
        if counts is not None:
            _counts(f"counts[{index}]", counts, model.likelihood[index])


def _as_many(name: str, given: int, other: str, wanted: int) -> None:
    if given != wanted:
        raise ValueError(f"{name}: has {given} tables and {other} {wanted}; give equally many")


def _distributions(name: str, table: Array, wanted: tuple[int, ...]) -> None:
    require_shape(name, table, wanted)
    if not np.isfinite(table).all() or (table < 0).any():
        raise ValueError(f"{name}: holds negative or not finite numbers; give probabilities")
    totals = table.sum(axis=0)
    wrong = np.abs(totals - 1) > TOLERANCE
    if wrong.any():
        column = [int(i) for i in np.argwhere(wrong)[0]]
        where = f", column {column}" if column else ""
        raise ValueError(f"{name}{where}: sums to {totals[tuple(column)]:.10g}; probabilities sum to 1")


def _preference(name: str, table: Array, wanted: tuple[int, ...]) -> None:
    require_shape(name, table, wanted)
    if not np.isfinite(table).all():
        raise ValueError(
            f"{name}: holds numbers that are not finite; give every outcome a probability above 0"
        )
    total = float(np.exp(table).sum())
    if abs(total - 1) > TOLERANCE:
        raise ValueError(f"{name}: its probabilities sum to {total:.10g}, not to 1; take their log_softmax")


def require_positive(name: str, counts: Array) -> None:
    """ValueError for counts of which some are 0, negative or not finite."""
    if not np.isfinite(counts).all() or (counts <= 0).any():
        raise ValueError(f"{name}: holds counts that are not positive; give every outcome some")


def _counts(name: str, counts: Array, likelihood: Array) -> None:
    require_shape(name, counts, likelihood.shape)
    require_positive(name, counts)
    if np.abs(counts / counts.sum(axis=0) - likelihood).max() > TOLERANCE:
        raise ValueError(
            f"{name}: its mean is not the likelihood; give likelihood = counts / their column sums"
        )
