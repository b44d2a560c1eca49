"""Readers of patches, how they share tokens among the patches of an image; sharing over frames and over stages."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Config, Count, Flag, Positive
from precisionflow.config.engine import DeepSpeedEngine, TorchEngine
from precisionflow.config.learning import Backpropagation


class Uniform(Config):
    """The same for every patch; what cannot be shared is one token more for the first ones."""

    kind: Literal["uniform"] = "uniform"


class TopK(Config):
    """The most tokens to the patches of the highest scores, as many as can have them, the fewest to the others."""

    kind: Literal["top_k"] = "top_k"


class Random(Config):
    """Shares that are drawn anew for every image, whatever it shows."""

    kind: Literal["random"] = "random"


class Softmax(Config):
    """The fewest tokens, and the difference to the most times a softmax of the scores: 64 N + 336 at the usual bounds,
    whatever the budget is."""

    kind: Literal["softmax"] = "softmax"


class ByPrecision(Config):
    """The posterior over allocations of utilities w/2 ln(1 + k rho), which the scorers decide."""

    kind: Literal["precision"] = "precision"
    estimate: Literal["mean", "mode"] = "mean"
    """mean: of the posterior, so that the ELBO's complexity teaches how far it goes from alike. mode: the allocation of
    the largest total utility."""
    ratio: Literal["both", "prior", "token"] = "both"
    """Whose precision differs between patches: that before a patch is read (the surer, the fewer tokens), that of a
    token (the more precise, the more tokens), or both."""


class Refining(Config):
    """All patches are read coarsely; those that are not known precisely enough then are read on, image by image."""

    kind: Literal["refine"] = "refine"
    threshold: Positive = 100.0
    """Precision over weight, tau / w, at which a patch is read no further; tau is what the reader states of what the
    tokens leave out of a pixel, between 0 and 1: 100 is a standard deviation of 0.1."""
    rounds: Count = 3
    """Times that patches may be read on, each with an equal part of what is left of the budget."""


class Oracle(Config):
    """All that the others can spare to the patch that is asked for: it is told, and so no method to use."""

    kind: Literal["oracle"] = "oracle"


Allocation = Annotated[
    Uniform | TopK | Random | Softmax | ByPrecision | Refining | Oracle, Field(discriminator="kind")
]


class Convolution(Config):
    """A small convolution of each patch in full size, as it looks after its tokens: more tokens cost no more."""

    kind: Literal["convolution"] = "convolution"


class TokenSequence(Config):
    """A sum over the tokens of a patch of what a small network makes of each: fewer tokens cost less.

    The patches of a batch are put into micro-batches of few lengths, with the least padding. Losses and gradients do
    not depend on it.
    """

    kind: Literal["tokens"] = "tokens"
    width: Count = 64
    """Numbers that each token becomes."""
    lengths: Count = 8
    """Lengths of the micro-batches, at most; 1: every patch is padded to the longest."""


Encoder = Annotated[Convolution | TokenSequence, Field(discriminator="kind")]


class Budgeted(Config):
    """A budget of tokens, and the bounds of what shares it: patches of an image, stages of a row."""

    sharers: ClassVar = "patches"
    budget: Count = 912
    """Tokens of an image or a row, over all patches or stages."""
    lowest: Count = 64
    """Fewest tokens of one."""
    highest: Count = 400
    """Most tokens of one; of a patch that is read, at most its pixels."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError(
                f"model.lowest {self.lowest} is not below model.highest {self.highest}; lower it"
            )
        return self

    def check_budget(self, count: int) -> None:
        """ValueError for a budget that no allocation of so many has."""
        least, most = self.lowest * count, self.highest * count
        if not least <= self.budget <= most:
            raise ValueError(
                f"model.budget: {self.budget} tokens for {count} {self.sharers} of {self.lowest} to {self.highest}; "
                f"give {least} to {most}"
            )


class PatchReader(Budgeted):
    """A reader of patches whose resolution is their number of tokens: cosine coefficients from coarse to fine.

    Scorers see the texture of all patches and a query, an allocation shares the tokens, an encoder tells the class of
    what each patch shows, and the class that is asked for is that of the patch that the query is about.
    """

    engines: ClassVar = (TorchEngine, DeepSpeedEngine)
    leaves: ClassVar[dict[str, Config]] = {"learning": Backpropagation()}
    remedy: ClassVar[str | None] = "lower training.learning_rate"
    kind: Literal["patch_reader"] = "patch_reader"
    allocation: Allocation = ByPrecision()
    encoder: Encoder = Convolution()
    information: Flag = True
    """Scores by the entropy of a patch's channels."""
    salience: Flag = True
    """Scores by how a patch stands out from the others."""
    coupling: Flag = True
    """Scores by what the query tells about a patch."""
    hidden: Count = 64
    """Width of a patch's features."""

    @model_validator(mode="after")
    def _something_scores(self) -> Self:
        if not (self.information or self.salience or self.coupling):
            raise ValueError(
                "model: information, salience and coupling are all false, and nothing scores a patch; leave one of them"
            )
        return self

    def check_pixels(self, pixels: int) -> None:
        """ValueError for more tokens than a patch has pixels."""
        if self.highest > pixels:
            raise ValueError(
                f"model.highest: {self.highest} tokens of a patch of {pixels} pixels; give at most {pixels}"
            )


class FrameAllocator(Budgeted):
    """Tokens of a video's frames, whose changes cost: a filter of what each patch is worth, and a plan ahead.

    The logarithm of a patch's weight drifts and is seen with noise; both variances are learned by -log p of what is
    seen.
    """

    engines: ClassVar = (TorchEngine,)
    leaves: ClassVar[dict[str, Config]] = {"learning": Backpropagation()}
    remedy: ClassVar[str | None] = "lower training.learning_rate"
    kind: Literal["frame_allocator"] = "frame_allocator"
    budget: Count = 1760
    horizon: Annotated[int, Field(ge=1, le=50), NUMBER] = 5
    """Frames that are planned at once, of which the first is done; 1: frame by frame."""
    change: Flag = True
    """The plan counts what changes cost; false: it takes them as free."""
    foresight: Literal["filtered", "told"] = "filtered"
    """told: the true weights of all frames are known, as no method knows them."""
    grain: Count = 28
    """Tokens between two levels of a plan, a divisor of highest - lowest."""

    @model_validator(mode="after")
    def _levels_meet_the_bounds(self) -> Self:
        if (self.highest - self.lowest) % self.grain:
            raise ValueError(
                f"model.grain: steps of {self.grain} do not lead from {self.lowest} to {self.highest} tokens; give a "
                f"divisor of {self.highest - self.lowest}"
            )
        return self


class StageAllocator(Budgeted):
    """Tokens of an encoder's and a decoder's stages, by the precisions that the stages infer beside each other.

    What is believed of a stage's precision before its readings is learned by their free energy.
    """

    engines: ClassVar = (TorchEngine,)
    leaves: ClassVar[dict[str, Config]] = {"learning": Backpropagation()}
    remedy: ClassVar[str | None] = "lower training.learning_rate"
    sharers: ClassVar = "stages"
    kind: Literal["stage_allocator"] = "stage_allocator"
    budget: Count = 1200
    share: Literal["inferred", "uniform", "told"] = "inferred"
    """inferred: the surer a stage is of its input, the fewer tokens it gets. uniform: alike. told: by true precisions,
    as no method knows them."""
    updates: Count = 16
    """Of each stage."""
    delay: Count = 1
    """Updates of each stage between two exchanges of beliefs: those of the others are up to so many updates old."""
    step: Annotated[float, Field(gt=0, le=1), NUMBER] = 0.5
    """Share of the way to the optimum of an update."""

    @model_validator(mode="after")
    def _ends_with_an_exchange(self) -> Self:
        if self.updates % self.delay:
            raise ValueError(
                f"model.delay: {self.updates} updates do not end with an exchange every {self.delay}; give a "
                "divisor of model.updates"
            )
        return self
