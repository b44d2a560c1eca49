"""Tables that are drawn from a known law: a toy of one feature, noisy sensors, nodes of a chain, images of objects."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Count, Fraction, NonNegative, Seed
from precisionflow.config.source import Source
from precisionflow.config.tables import HeldSplit, RandomSplit


class HeteroscedasticSine(Source):
    """A toy with known noise, y = x sin x + 0.3 e1 + 0.3 x e2."""

    kind: Literal["heteroscedastic_sine"] = "heteroscedastic_sine"
    rows: Annotated[int, Field(ge=10), NUMBER] = 500
    seed: Seed = 0
    """Of the draw of the rows themselves, the same for all splits."""
    split: HeldSplit = RandomSplit()

    @property
    def dataset(self) -> str:
        return self.kind


class Sensors(Source):
    """Several noisy readings of one number at each of `length` steps; the target is the number at the last one.

    Reading k is the number plus noise whose standard deviation the context of the step decides; numbers of different
    steps have nothing to do with each other.
    """

    known: ClassVar = True
    kind: Literal["sensors"] = "sensors"
    rows: Annotated[int, Field(ge=10), NUMBER] = 10_000
    sensors: Annotated[int, Field(ge=2), NUMBER] = 3
    contexts: Count = 3
    spread: NonNegative = 1.0
    """Standard deviation, over sensors and contexts, of the logarithm of the noise's standard deviation."""
    length: Count = 1
    persistence: Annotated[float, Field(ge=0, le=1), NUMBER] = 0.0
    """Probability that a step has the context of the step before; else it is drawn, all alike."""
    shown: Annotated[float, Field(ge=0, le=1), NUMBER] = 1.0
    """Share of the steps whose context stands among the features; the others have 0 there."""
    seed: Seed = 0
    """Of the noises and of the draw of the rows, the same for all splits."""
    split: HeldSplit = RandomSplit()

    @property
    def dataset(self) -> str:
        hidden = "" if self.shown == 1 else f"_shown_{self.shown:g}"
        return (
            f"{self.kind}{hidden}_persistence_{self.persistence:g}"
            if self.persistence
            else self.kind + hidden
        )


class NodeChain(Source):
    """A row of vectors, one at each node; the last two or three nodes of a chain stand among noise.

    x1 = W x0 + noise, x2 = W x1 + noise with one W of low rank; the last node of a row is x2, the target a linear
    function of x0 + x1, or of x1 alone, which x2 does not tell (Singh & Buckley 2023, sections 5.1 and 5.2).
    """

    kind: Literal["node_chain"] = "node_chain"
    rows: Annotated[int, Field(ge=10), NUMBER] = 10_000
    nodes: Annotated[int, Field(ge=3), NUMBER] = 8
    channels: Count = 8
    rank: Count = 4
    """Of W, at most `channels`."""
    noise: Annotated[float, Field(ge=0, lt=1), NUMBER] = 0.5
    """Standard deviation of the noise of each channel, that of all nodes being 1."""
    history: Literal[1, 2] = 2
    """Nodes that the target is a function of: x1, or x0 and x1."""
    geometric: Fraction | None = None
    """p of the distance from x1 to x2, p (1 - p)^(distance - 1), cut at the row's beginning; none: every place is as
    likely as any other."""
    outliers: Annotated[float, Field(ge=0, lt=1), NUMBER] = 0.0
    """Share of the nodes, in all parts, that are shown with noise of ten times their standard deviation added; the
    target follows from the nodes as they are."""
    seed: Seed = 0
    """Of W and of the draw of the rows, the same for all splits."""
    split: HeldSplit = RandomSplit()

    @property
    def dataset(self) -> str:
        near = "" if self.geometric is None else f"_geometric_{self.geometric:g}"
        wrong = f"_outliers_{self.outliers:g}" if self.outliers else ""
        return f"{self.kind}_{self.nodes}x{self.channels}_noise_{self.noise:g}{near}{wrong}"

    @property
    def row_tokens(self) -> int:
        return self.nodes

    @property
    def causes(self) -> int:
        return self.history

    @model_validator(mode="after")
    def _rank_is_low(self) -> Self:
        if self.rank > self.channels:
            raise ValueError(
                f"task.source.rank {self.rank} is above task.source.channels {self.channels}; lower it"
            )
        return self


class DrawnObjects(Source):
    """Images of several discs and squares of random colours, drawn one over the other on a grey ground, with noise.

    Every seed has its own images; the parts of one seed have none in common.
    """

    kind: Literal["drawn_objects"] = "drawn_objects"
    side: Annotated[int, Field(ge=4), NUMBER] = 12
    """Pixels of an edge."""
    most: Annotated[int, Field(ge=2), NUMBER] = 4
    """Objects of an image: 2 to so many, all numbers alike; one may be hidden."""
    noise: NonNegative = 0.05
    """Standard deviation of the noise of every channel; colours lie between 0 and 1."""
    seed: Seed = 0

    @property
    def dataset(self) -> str:
        return self.kind
