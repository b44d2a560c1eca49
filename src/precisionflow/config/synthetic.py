"""Synthetic sources of sequences whose best possible prediction is known exactly."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Count, Fraction, Positive, Seed, Whole
from precisionflow.config.source import Source

Share = Annotated[float, Field(ge=0, lt=1), NUMBER]
Several = Annotated[int, Field(ge=2), NUMBER]
MOST_STATES = 4096
"""Most hidden states of a source, whose filter takes states * symbols numbers a token."""


class SyntheticSource(Source):
    """What every synthetic source says of itself."""

    causal: ClassVar[bool] = True
    """Whether a token has to be kept from seeing later ones, which hold its target."""
    tagged: ClassVar[bool] = True
    """Whether the targets stand at tokens; else each sequence has one."""
    has_cause: ClassVar[bool] = False
    """Whether one token is known to tell the target."""
    kind: str
    seed: Seed = 0
    """Of the source itself and of all draws from it."""
    outliers: Share = 0.0
    """Share of the shown symbols that are replaced by one drawn uniformly, in all parts."""

    @property
    def dataset(self) -> str:
        """Name of the data set in tables and reports."""
        return f"{self.kind}_outliers_{self.outliers:g}" if self.outliers else self.kind

    @property
    @abstractmethod
    def context(self) -> int:
        """Tokens of the longest sequence."""


class OfSeveralLengths(SyntheticSource):
    """A source of sequences of `shortest` to `length` symbols, all lengths alike."""

    shortest: Count = 2
    length: Count = 8

    @model_validator(mode="after")
    def _shortest_is_short(self) -> Self:
        if self.shortest > self.length:
            raise ValueError(
                f"task.source.shortest {self.shortest} is above task.source.length {self.length}; exchange them"
            )
        return self


class Chain(SyntheticSource):
    """A source with hidden states, of sequences of one length; every token is a target."""

    length: Count = 32

    @property
    @abstractmethod
    def states(self) -> int:
        """Number of hidden states."""

    @property
    def context(self) -> int:
        return self.length

    @model_validator(mode="after")
    def _few_states(self) -> Self:
        if self.states > MOST_STATES:
            raise ValueError(
                f"task.source.kind {self.kind} has {self.states} hidden states; {MOST_STATES} are the most, lower them"
            )
        return self


class Copying(OfSeveralLengths):
    """Symbols, a delay, a mark, the symbols again: each of the second copy is a target.

    Training and validation copy `shortest` to `length` symbols. Targets at the optimum:
    log(1 - outliers + outliers / symbols) where the symbol was shown as it is.
    """

    kind: Literal["copying"] = "copying"
    symbols: Several = 8
    test_length: Count | None = None
    """Symbols to copy in the test part; none: `length`."""
    delay: Whole = 0
    """Blanks between the symbols and the mark."""

    @property
    def context(self) -> int:
        return 2 * max(self.length, self.test_length or 0) + self.delay


class Ngrams(Chain):
    """A Markov chain of some order over symbols.

    Each history's distribution of the next symbol is drawn from a Dirichlet distribution. The entropy is exact.
    """

    kind: Literal["ngrams"] = "ngrams"
    symbols: Several = 6
    order: Count = 2
    concentration: Positive = 0.5
    """Of the Dirichlet distribution; the lower, the more predictable."""

    @property
    def states(self) -> int:
        """Histories of `order` symbols."""
        return self.symbols**self.order


class Brackets(Chain):
    """Nested brackets of several types (a Dyck language of bounded depth, context-free).

    Outside all brackets one opens; at the greatest depth the last closes; else one opens with probability `opening`,
    all types alike.
    """

    kind: Literal["brackets"] = "brackets"
    types: Several = 2
    depth: Count = 4
    opening: Fraction = 0.5

    @property
    def states(self) -> int:
        """Stacks of open brackets."""
        return sum(self.types**depth for depth in range(self.depth + 1))


class Urns(OfSeveralLengths):
    """Each class draws the symbols of a sequence from an urn of its own; the target is the class.

    The urns are drawn from a Dirichlet distribution; the Bayes error is that of the exact posterior.
    """

    causal: ClassVar = False
    tagged: ClassVar = False
    kind: Literal["urns"] = "urns"
    classes: Several = 2
    symbols: Several = 10
    concentration: Positive = 5.0
    """Of the Dirichlet distribution; the higher, the more alike the urns and the harder the task."""
    shortest: Count = 4
    length: Count = 16

    @property
    def context(self) -> int:
        return self.length


class Recall(SyntheticSource):
    """Pairs of a key and a value, then a key: the target is its value, and one token is known to tell it.

    Outliers replace values that are shown.
    """

    causal: ClassVar = False
    has_cause: ClassVar = True
    kind: Literal["recall"] = "recall"
    keys: Several = 16
    values: Several = 8
    pairs: Count = 8

    @model_validator(mode="after")
    def _keys_differ(self) -> Self:
        if self.pairs > self.keys:
            raise ValueError(
                f"task.source.pairs {self.pairs} are more than task.source.keys {self.keys}; a key stands once"
            )
        return self

    @property
    def context(self) -> int:
        return self.pairs + 1


class Cueing(SyntheticSource):
    """A cue, a delay, a display with symbols at several places, at one of them those of a class: the target.

    The cue names the place of the target with probability `validity`, all others alike; it is forgotten at the rate at
    which the target moves (Posner 1980). Other places show symbols drawn uniformly. Outliers replace symbols of the
    target.
    """

    causal: ClassVar = False
    tagged: ClassVar = False
    kind: Literal["cueing"] = "cueing"
    classes: Several = 2
    symbols: Several = 10
    concentration: Positive = 0.5
    """Of the Dirichlet distribution that each class's symbols are drawn from; the higher, the harder the task."""
    places: Several = 4
    samples: Count = 2
    """Symbols at each place."""
    validity: Fraction = 0.8
    neutral: Share = 0.2
    """Share of the sequences whose cue names no place."""
    delay: Whole = 8
    """Blanks between cue and display: at most so many, all numbers alike."""
    drift: Annotated[float, Field(ge=0, le=1), NUMBER] = 0.2
    """Probability that the target is at a place drawn anew, all alike, at each blank."""

    @property
    def context(self) -> int:
        return 1 + self.delay + self.places * self.samples


Synthetics = Annotated[Copying | Ngrams | Brackets | Urns | Recall | Cueing, Field(discriminator="kind")]
