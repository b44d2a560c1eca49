"""Sources with hidden states whose next state follows from the symbol: n-grams, nested brackets, their exact filter."""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from precisionflow.config.synthetic import Brackets, Ngrams
from precisionflow.data.sources.synthetic.drawn import Drawn, Source, replaced
from precisionflow.data.tokens.listed import PADDING

MOST_NUMBERS = 4_000_000
"""Numbers of the filter that are in memory at once, about."""
Observed = Int[np.ndarray, "rows places"]


@dataclass(frozen=True)
class Unifilar:
    """A chain that starts in state 0, emits a symbol with the state's probabilities and goes where the symbol leads."""

    probability: Float[np.ndarray, "states symbols"]
    following: Int[np.ndarray, "states symbols"]

    def draw(self, rows: int, length: int, random: np.random.Generator) -> Observed:
        """Symbols of so many sequences."""
        state = np.zeros(rows, dtype=int)
        symbols = np.empty((rows, length), dtype=int)
        sums = self.probability.cumsum(axis=1)[:, :-1]
        for place, uniform in enumerate(random.random((length, rows))):
            symbols[:, place] = (uniform[:, None] > sums[state]).sum(axis=1)
            state = self.following[state, symbols[:, place]]
        return symbols

    def entropy(self, length: int) -> float:
        """Mean over the places of H(x_t | x_1 ... x_(t - 1)), in nats: sum_s p_t(s) H(x | s), the state being known."""
        state = np.zeros(len(self.probability))
        state[0] = 1
        with np.errstate(divide="ignore", invalid="ignore"):
            surprise = -np.where(self.probability > 0, self.probability * np.log(self.probability), 0.0)
        total = 0.0
        for _ in range(length):
            total += float(state @ surprise.sum(axis=1))
            state = self._moved(state[None], self.probability[None] * state[None, :, None])[0]
        return total / length

    def filtered(
        self, observed: Observed, *, outliers: float
    ) -> tuple[Float[np.ndarray, "rows places"], Bool[np.ndarray, "rows places"]]:
        """(log p(o_t | o_1 ... o_(t - 1)), whether o_t is the most probable), where o is replaced at a known rate.

        The belief b(s) predicts p(x) = sum_s b(s) p(x | s), and o is x with probability 1 - outliers, else uniform.
        """
        at_once = max(1, MOST_NUMBERS // self.probability.size)
        parts = [
            self._filtered(observed[first : first + at_once], outliers)
            for first in range(0, len(observed), at_once)
        ]
        stated, right = zip(*parts, strict=True)
        return np.concatenate(stated), np.concatenate(right)

    def _filtered(
        self, observed: Observed, outliers: float
    ) -> tuple[Float[np.ndarray, "rows places"], Bool[np.ndarray, "rows places"]]:
        rows, length = observed.shape
        kinds = self.probability.shape[1]
        belief = np.zeros((rows, len(self.probability)))
        belief[:, 0] = 1
        stated, right = np.empty((rows, length)), np.empty((rows, length), dtype=bool)
        row = np.arange(rows)
        for place in range(length):
            seen = observed[:, place]
            predicted = (1 - outliers) * belief @ self.probability + outliers / kinds
            stated[:, place] = np.log(predicted[row, seen])
            right[:, place] = predicted.argmax(axis=1) == seen
            likelihood = np.full((rows, kinds), outliers / kinds)
            likelihood[row, seen] += 1 - outliers
            joint = belief[:, :, None] * self.probability * likelihood[:, None, :]
            moved = self._moved(belief, joint)
            belief = moved / moved.sum(axis=1, keepdims=True)
        return stated, right

    def _moved(
        self, belief: Float[np.ndarray, "rows states"], joint: Float[np.ndarray, "rows states symbols"]
    ) -> Float[np.ndarray, "rows states"]:
        """Weight of every next state, `joint` being that of a state and its symbol."""
        moved = np.zeros_like(belief)
        np.add.at(moved.T, self.following.ravel(), joint.reshape(len(joint), -1).T)
        return moved


def ngrams(source: Ngrams) -> Unifilar:
    """States are the last `order` symbols; before the first symbol all are symbol 0."""
    states, kinds = source.symbols**source.order, source.symbols
    random = np.random.default_rng([source.seed, 1])
    probability = random.dirichlet(np.full(kinds, source.concentration), size=states)
    following = (np.arange(states)[:, None] * kinds + np.arange(kinds)) % states
    return Unifilar(probability, following)


def brackets(source: Brackets) -> Unifilar:
    """States are the stacks of open brackets; symbol i opens type i, symbol types + i closes it."""
    depths = range(source.depth + 1)
    stacks = [stack for d in depths for stack in itertools.product(range(source.types), repeat=d)]
    index = {stack: i for i, stack in enumerate(stacks)}
    probability, following = (
        np.zeros((len(stacks), 2 * source.types)),
        np.zeros((len(stacks), 2 * source.types), int),
    )
    for state, stack in enumerate(stacks):
        opening = 1.0 if not stack else 0.0 if len(stack) == source.depth else source.opening
        for kind in range(source.types) if opening else ():
            probability[state, kind] = opening / source.types
            following[state, kind] = index[(*stack, kind)]
        if stack:
            probability[state, source.types + stack[-1]] = 1 - opening
            following[state, source.types + stack[-1]] = index[stack[:-1]]
    return Unifilar(probability, following)


def source_of(chain: Unifilar, source: Ngrams | Brackets) -> Source:
    """Inputs start, o_1 ... o_(n - 1); targets o_1 ... o_n. Outliers are part of the sequence that is observed."""
    kinds = chain.probability.shape[1]

    def draw(rows: int, random: np.random.Generator, _test: bool) -> Drawn:
        true = chain.draw(rows, source.length, random)
        observed = replaced(true, kinds=kinds, outliers=source.outliers, random=random)
        stated, right = chain.filtered(observed, outliers=source.outliers)
        start = np.full((rows, 1), kinds + 1)
        inputs = np.concatenate([start, 1 + observed[:, :-1]], axis=1)
        return Drawn(inputs[..., None], observed, stated, right)

    match source:
        case Ngrams():
            names = tuple(map(str, range(kinds)))
        case Brackets():
            names = tuple(f"{act}_{i}" for act in ("open", "close") for i in range(source.types))
    return Source((PADDING, *names, "start"), names, draw)
