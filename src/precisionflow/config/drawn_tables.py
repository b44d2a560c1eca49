"""Drawn from a known law: a toy, sensors, moving targets, node chains, objects, scenes, videos, stages, patterns."""

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Count, Fraction, NonNegative, Positive, Seed
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


class MovingTarget(Source):
    """Readings of a target that moves; to be told is its position once the eye has landed, `lead` seconds later.

    x'' = -(2 pi frequency)^2 x - damping x' + w, y = x + z at every `interval`. Coloured noises have the
    autocorrelation exp(-lag^2 / (4 smoothness^2)). w has the same power at frequency 0 whatever its smoothness: white,
    it gives x the standard deviation 1.
    """

    known: ClassVar = True
    steps: ClassVar = 4
    """Of an interval, in each of which the force stays the same."""
    most_intervals: ClassVar = 1000
    """From the first reading to the landing, whose covariance is computed densely."""
    kind: Literal["moving_target"] = "moving_target"
    rows: Annotated[int, Field(ge=10), NUMBER] = 4000
    """Targets, each with readings of its own."""
    length: Annotated[int, Field(ge=2, le=500), NUMBER] = 60
    """Readings of a target."""
    interval: Positive = 0.02
    """Seconds between readings."""
    lead: NonNegative = 0.14
    """Seconds from the last reading to the landing: the latency of a saccade and its duration; rounded to a quarter of
    an interval."""
    frequency: NonNegative = 0.7
    """Hertz of the undamped, undriven target; 0: nothing pulls it back."""
    damping: Positive = 2.0
    """Per second."""
    noise: Positive = 0.5
    """Standard deviation of a reading's error z."""
    floor: Positive = 0.01
    """Standard deviation of the white part of z over that of its coloured part."""
    motion_smoothness: NonNegative = 0.08
    """Seconds, of w; 0: white."""
    reading_smoothness: NonNegative = 0.08
    """Seconds, of z; 0: white."""
    seed: Seed = 0
    """Of the draw of the rows, the same for all splits."""
    split: HeldSplit = RandomSplit()

    @property
    def dataset(self) -> str:
        return f"{self.kind}_noise_{self.noise:g}_smoothness_{self.motion_smoothness:g}_{self.reading_smoothness:g}"

    @property
    def density(self) -> float:
        """Spectral density of w at frequency 0: with white noise Var(x) = density / (2 damping (2 pi frequency)^2) = 1.

        Where nothing pulls the target back that of x', density / (2 damping), is 1.
        """
        return 2 * self.damping * (self.stiffness or 1.0)

    @property
    def stiffness(self) -> float:
        """(2 pi frequency)^2, per second squared."""
        return (2 * math.pi * self.frequency) ** 2

    @property
    def steps_ahead(self) -> int:
        """Steps from the last reading to the landing."""
        return round(self.lead / self.interval * self.steps)

    @property
    def ahead(self) -> float:
        """The same in seconds."""
        return self.steps_ahead * self.interval / self.steps

    @model_validator(mode="after")
    def _is_small_enough(self) -> Self:
        if self.length + self.lead / self.interval > self.most_intervals:
            raise ValueError(
                f"task.source.lead: {self.lead:g} s behind {self.length} readings, one every {self.interval:g} s, are "
                f"more than {self.most_intervals} intervals; lower task.source.lead or raise task.source.interval"
            )
        return self


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


class DrawnScenes(Source):
    """Coloured figures in some patches of an image among clutter; a query names the colour of the one to tell.

    Figures are in patches of their own, of different colours. Every seed has its own images; the parts of one seed have
    none in common, nor do digits of the test part occur in others.
    """

    colours: ClassVar = 4
    """Colours of figures, each a number of the query."""
    kind: Literal["scenes"] = "scenes"
    figures: Literal["digits", "photographs", "gratings"] = "digits"
    """digits: scikit-learn's handwritten digits on shaded ground. photographs: the same on pieces of its two
    photographs. gratings: fine stripes of four directions and two widths, on shaded ground."""
    patches: Annotated[int, Field(ge=2, le=8), NUMBER] = 3
    """Along each edge."""
    patch: Annotated[int, Field(ge=12, le=40), NUMBER] = 20
    """Pixels of a patch's edge."""
    count: Annotated[int, Field(ge=1, le=4), NUMBER] = 2
    """Figures of an image."""
    clutter: Annotated[float, Field(ge=0, le=1), NUMBER] = 0.3
    """Probability that a patch without a figure is coloured noise."""
    seed: Seed = 0

    @property
    def dataset(self) -> str:
        return self.figures


class MovingWeights(Source):
    """Videos of what patches are worth: spots that move at a constant speed over a grid, seen with flicker.

    ln w of a patch is that of the nearest spot's Gaussian bump over a ground of ln w = 0, its height `height` and its
    width one patch; what is seen of it has independent Gaussian noise. Every seed has its own videos.
    """

    kind: Literal["moving_weights"] = "moving_weights"
    patches: Annotated[int, Field(ge=2, le=8), NUMBER] = 4
    """Along each edge."""
    frames: Annotated[int, Field(ge=2), NUMBER] = 20
    spots: Count = 2
    speed: NonNegative = 0.2
    """Patches a frame, in a direction that is drawn; spots turn at the edges."""
    height: Positive = 3.0
    """Nats of ln w at the middle of a spot."""
    flicker: NonNegative = 0.7
    """Standard deviation of what is seen of ln w."""
    seed: Seed = 0

    @property
    def dataset(self) -> str:
        return f"{self.kind}_speed_{self.speed:g}_flicker_{self.flicker:g}"


class StageChains(Source):
    """States of an encoder's and a decoder's stages, one after the other, each read with noise.

    x_i = gain x_i-1 + N(0, 1 / tau_i), x_0 = N(0, 1) is given, y_i = x_i + N(0, 1 / reading). Every row has precisions
    of its own, lognormal about those of its kind of stage. Every seed has its own rows.
    """

    kind: Literal["stage_chains"] = "stage_chains"
    encoder: Count = 3
    """Stages of the encoder."""
    decoder: Count = 3
    """Stages of the decoder."""
    channels: Annotated[int, Field(ge=2), NUMBER] = 16
    """Numbers of a state."""
    gain: Annotated[float, Field(gt=0, le=1), NUMBER] = 0.9
    encoder_precision: Positive = 3.0
    """Median of tau_i in the encoder."""
    decoder_precision: Positive = 30.0
    """Median of tau_i in the decoder."""
    spread: NonNegative = 1.0
    """Standard deviation of ln tau_i."""
    reading: Positive = 100.0
    """Precision of a reading, which is known."""
    seed: Seed = 0

    @property
    def stages(self) -> int:
        """Of both."""
        return self.encoder + self.decoder

    @property
    def dataset(self) -> str:
        return f"{self.kind}_{self.encoder}_{self.decoder}_spread_{self.spread:g}"


class StoredPatterns(Source):
    """Patterns of length 1 to be stored, and queries: each is a pattern with noise of a length, its direction random.

    Every split draws patterns and queries of its own.
    """

    kind: Literal["stored_patterns"] = "stored_patterns"
    width: Annotated[int, Field(ge=2), NUMBER] = 16
    """Channels of a pattern."""
    patterns: Annotated[int, Field(ge=2), NUMBER] = 4096
    """The load: patterns that are stored at once."""
    values: Literal["continuous", "binary"] = "continuous"
    """continuous: uniform on the unit sphere. binary: every channel is 1 / sqrt(width) or its negative, either sign as
    likely."""
    clusters: Count | None = None
    """Patterns lie about so many centres, which are drawn like patterns; pattern i about centre i modulo `clusters`.
    None: they have nothing to do with each other."""
    spread: Positive = 0.4
    """Distance of a pattern of a cluster from its centre, before its length becomes 1 again or signs are taken."""
    noise: NonNegative = 0.3
    """Distance of a query from its pattern."""
    seed: Seed = 0

    @property
    def dataset(self) -> str:
        binary = "" if self.values == "continuous" else "_binary"
        near = "" if self.clusters is None else f"_clusters_{self.clusters}"
        return f"{self.kind}_{self.patterns}x{self.width}{binary}{near}_noise_{self.noise:g}"

    @model_validator(mode="after")
    def _patterns_can_differ(self) -> Self:
        if self.values == "binary" and self.patterns > 2**self.width:
            raise ValueError(
                f"task.source.patterns: there are {2**self.width} binary patterns of width {self.width}, and "
                f"{self.patterns} are asked for; give fewer or raise task.source.width"
            )
        if self.clusters is not None and self.clusters > self.patterns:
            raise ValueError(
                f"task.source.clusters: {self.clusters} clusters of {self.patterns} patterns; give at most as many"
            )
        return self
