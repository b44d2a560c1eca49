"""Networks: fully connected ones for tables, a transformer for text; agents, filters and models from outside join."""

from typing import Annotated, ClassVar, Literal, Self, assert_never

from pydantic import Field, model_validator

from precisionflow.config.agents import Agent
from precisionflow.config.allocation import Budgeted, FrameAllocator, PatchReader, StageAllocator
from precisionflow.config.attention import (
    Attention,
    BlockSlots,
    Decay,
    GaussianSlots,
    Iterated,
    TokenAttention,
    factors_of,
)
from precisionflow.config.attention.iterated import NodeCount
from precisionflow.config.attention.values import Iterations
from precisionflow.config.base import NUMBER, Config, Count, Flag
from precisionflow.config.engine import BatchedEngine, DeepSpeedEngine, TorchEngine
from precisionflow.config.evaluation import OF_BOUND, OF_EDGES
from precisionflow.config.external import Classifier, Estimator, External, PredictionFile
from precisionflow.config.filters import Filter
from precisionflow.config.learning import Backpropagation, FixedPrecision, Precision
from precisionflow.config.likelihoods import GaussianNLL
from precisionflow.config.memories import AssociativeMemory
from precisionflow.config.posteriors import Ensemble, Point, Posterior


class Transformer(Config):
    """Pre-norm transformer; each residual branch (attention, feed-forward) is one layer.

    The defaults are one well-tuned baseline for all tasks of text; docs/results.md tells what each brick is worth.
    """

    engines: ClassVar = (TorchEngine, DeepSpeedEngine)
    """Engines that can train it."""
    leaves: ClassVar[dict[str, Config]] = {}
    """Parts that have to stay as given here, since the network learns in closed form."""
    remedy: ClassVar[str | None] = None
    """What helps where learning diverges; none: the way of learning knows."""
    kind: Literal["transformer"] = "transformer"
    blocks: Count = 2
    heads: Count = 4
    width: Count = 64
    attention: TokenAttention = Attention()
    positions: Literal["rotary", "learned", "none"] = "rotary"
    """rotary: queries and keys are turned by an angle that grows with the token's position. Dot products and isotropic
    distances then depend on relative positions; precisions of single channels also on where the pair stands, since a
    rotation mixes channels. learned: an embedding of each position of the context is added to the token's."""
    norm: Literal["rms", "layer"] = "rms"
    """Before each branch and the readout."""
    query_key_norm: Flag = True
    """Queries and keys have the length sqrt(width of a head), times a learned gain of each channel."""
    feed_forward: Literal["mlp", "memory"] = "mlp"
    """memory: attention over 4 width learned slots, a softmax among those of each head, in place of an activation."""
    activation: Literal["squared_relu", "gelu", "silu"] = "squared_relu"
    """Inside the feed-forward layers that are no memory."""
    tied_readout: Flag = False
    """The weights of the readout are those of the token embedding."""
    zero_projections: Flag = True
    """The last linear map of every branch and of the readout starts at 0: a network starts as an identity."""
    dropout: Annotated[float, Field(ge=0, lt=1), NUMBER] = 0.0
    """Share of the channels of the embedding and of each branch's output that is set to 0 while training."""
    token_dropout: Annotated[float, Field(ge=0, lt=1), NUMBER] = 0.0
    """Share of the ids that are left out while training: a token that is one id as a whole, of a bag of ids each by
    itself (Iyyer et al. 2015)."""
    recompute: Flag = False
    """Each residual branch keeps its input alone for the backward pass and is computed again there: less memory, one
    more forward pass."""
    convolution: Annotated[int, Field(ge=2), NUMBER] | None = None
    """Places that a convolution over all channels sees, a residual layer of its own before each block's attention:
    centred, or up to the token itself where attention is causal; none: no such layer."""
    posterior: Posterior = Point()
    """Of classes of texts and tags of words another than point."""

    @property
    def block(self) -> tuple[str, ...]:
        """Kinds of the layers of a block, in their order."""
        branches = ("attention", "feed_forward")
        return branches if self.convolution is None else ("convolution", *branches)

    @property
    def layer_kinds(self) -> tuple[str, ...]:
        """Kind of each layer, from the inputs on."""
        return ("embedding", *self.block * self.blocks)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(
                f"model.width {self.width} is not a multiple of model.heads {self.heads}; change one of them"
            )
        if self.positions == "rotary" and self.width // self.heads % 2:
            raise ValueError(
                f"model.width {self.width} over model.heads {self.heads} is odd, and model.positions rotary turns "
                "pairs of channels; change one of them"
            )
        return self

    @model_validator(mode="after")
    def _every_head_has_a_slope(self) -> Self:
        attention = self.attention
        for prior in factors_of(attention.prior) if isinstance(attention, Attention) else ():
            if isinstance(prior, Decay) and prior.slopes is not None and len(prior.slopes) != self.heads:
                raise ValueError(
                    f"model.attention.prior.slopes: given {len(prior.slopes)} for model.heads {self.heads}; "
                    "give one for each head"
                )
        return self

    @model_validator(mode="after")
    def _blocks_divide_heads(self) -> Self:
        width = self.width // self.heads
        if isinstance(self.attention, BlockSlots) and width % self.attention.blocks:
            raise ValueError(
                f"model.width {self.width} over model.heads {self.heads}, {width}, is not a multiple of "
                f"model.attention.blocks {self.attention.blocks}; change one of them"
            )
        return self


class MLP(Config):
    """Fully connected network; the objective says which parameters its heads state."""

    engines: ClassVar = (TorchEngine, BatchedEngine, DeepSpeedEngine)
    leaves: ClassVar[dict[str, Config]] = {}
    remedy: ClassVar[str | None] = None
    kind: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (50,)
    """Widths of the hidden layers."""
    activation: Literal["silu", "relu", "tanh"] = "silu"
    layer_norm: Flag = False
    """Before each activation."""
    dropout: Annotated[float, Field(ge=0, lt=1), NUMBER] = 0.0
    """Share of each hidden layer's outputs that is set to 0 while training."""
    separate_heads: Flag = False
    """Each head has a hidden layer of half the last width of its own."""
    inputs: Literal["standardised", "normal_scores"] = "standardised"
    """normal_scores: beside each feature stands the normal quantile of its rank among the training rows."""
    posterior: Posterior = Point()

    @property
    def layer_kinds(self) -> tuple[str, ...]:
        """As of a transformer."""
        return ("hidden",) * len(self.hidden)


class Fusion(Config):
    """The sources of a row's last step, weighed by precisions: a Gaussian posterior whose gains are learned.

    A row is `length` times as many features, those of a step beginning with its sources.
    """

    engines: ClassVar = (TorchEngine, DeepSpeedEngine)
    leaves: ClassVar[dict[str, Config]] = {"objective": GaussianNLL()}
    remedy: ClassVar[str | None] = None
    kind: Literal["fusion"] = "fusion"
    sources: Count
    """Features at the beginning of each step that say the same number, each with noise of its own."""
    length: Count = 1
    hidden: Count = 16
    """Width of the state that decides the precisions."""
    memory: Literal["slow", "none"] = "slow"
    """slow: the state follows the evidence of all steps, each channel with a learned time constant. none: it is the
    evidence of the last step."""

    @property
    def layer_kinds(self) -> tuple[str, ...]:
        """As of a transformer."""
        return ("evidence",)


class TAGI(Config):
    """Gaussian beliefs over all weights, learned in closed form, the noise too (Goulet 2021, Deka 2024)."""

    engines: ClassVar = (BatchedEngine,)
    leaves: ClassVar[dict[str, Config]] = {"objective": GaussianNLL(), "learning": Backpropagation()}
    remedy: ClassVar[str | None] = "lower training.batch_size or make model.hidden smaller"
    kind: Literal["tagi_v"] = "tagi_v"
    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (50,)
    """Widths of the hidden layers, rectified linear units."""


class Generative(Config):
    """Images from states: the image's class predicts the highest state, each state the one below, the lowest the image.

    Errors, their laws and their precisions are those of `learning`, which is predictive_coding.
    """

    engines: ClassVar = (TorchEngine, DeepSpeedEngine)
    leaves: ClassVar[dict[str, Config]] = {}
    remedy: ClassVar[str | None] = None
    kind: Literal["generative"] = "generative"
    states: Annotated[tuple[Count, ...], Field(min_length=1)] = (16,)
    """Widths of the states, the highest first."""
    activation: Literal["tanh", "relu", "silu", "identity"] = "silu"
    """Of each state but the highest, before the linear map that predicts the one below."""
    prior: Precision = FixedPrecision(value=1.0)
    """Precision of the highest state about what its class predicts; predicted: each class has its own."""
    iterations: Count = 20
    """Most settling steps on an image that teaches nothing: validation, evaluation and serving; its class is not known
    and most classes settle further away than its own. A lesson takes `learning.iterations`."""
    beliefs: Literal["laplace", "mode"] = "laplace"
    """About an image's states, while learning and in its free energy. laplace: a Gaussian about the settled states
    whose covariance is the inverse curvature of the energy. mode: the settled states alone, whose free energy is no
    bound of the evidence; learned precisions are then too high, as errors are smaller than the noise."""

    @property
    def layer_kinds(self) -> tuple[str, ...]:
        """As of a transformer; the image is no state, and behind them all."""
        return ("highest_state", *("state",) * (len(self.states) - 1))


Chain = Transformer | MLP | Fusion | Generative
"""Networks whose layers predictive coding can give errors to."""


class Slots(Config):
    """Slots that share the pixels of an image among them, each decoded apart (Locatello et al. 2020).

    A pixel is of one slot, an edge that is summed out: -log sum_k mask_k N(colour; colour_k, noise^2). Slots descend
    the free energy of their edges to features of the pixels, from learned places where they start.
    """

    engines: ClassVar = (TorchEngine,)
    leaves: ClassVar[dict[str, Config]] = {"learning": Backpropagation()}
    remedy: ClassVar[str | None] = "lower training.learning_rate"
    kind: Literal["slots"] = "slots"
    count: NodeCount = 5
    """Slots of an image: as many as objects and ground, or more."""
    attention: Iterated = GaussianSlots()
    """The edges that are summed out."""
    width: Count = 16
    iterations: Iterations = 3
    """Steps of the slots."""
    hidden: Count = 32
    """Width of the layers before and behind the slots."""
    noise: Annotated[float, Field(ge=1e-6, le=1e6), NUMBER] = 0.1
    """Standard deviation of a pixel's colour about that of its slot."""

    @model_validator(mode="after")
    def _blocks_divide_width(self) -> Self:
        if isinstance(self.attention, BlockSlots) and self.width % self.attention.blocks:
            raise ValueError(
                f"model.width {self.width} is not a multiple of model.attention.blocks {self.attention.blocks}; "
                "change one of them"
            )
        return self


class Clusters(Config):
    """Pixels of each image by themselves in clusters of colour and place, as many as objects and ground: they are told.

    Learned is only the precision of a pixel's colour about the mean of its cluster, which changes no cluster.
    """

    engines: ClassVar = (TorchEngine,)
    leaves: ClassVar[dict[str, Config]] = {"learning": Backpropagation()}
    remedy: ClassVar[str | None] = "lower training.learning_rate"
    kind: Literal["clusters"] = "clusters"
    by: Literal["k_means", "gaussian_mixture", "gaussian_slots", "dot_product_slots"] = "k_means"
    """k_means, gaussian_mixture (full covariances): those of scikit-learn, the best of ten and of three starts.
    gaussian_slots, dot_product_slots: slots on the pixels, the best of ten starts by free energy."""


Model = Annotated[
    Transformer
    | MLP
    | Fusion
    | TAGI
    | Generative
    | Agent
    | Slots
    | Clusters
    | AssociativeMemory
    | Filter
    | PatchReader
    | FrameAllocator
    | StageAllocator
    | Estimator
    | Classifier
    | PredictionFile,
    Field(discriminator="kind"),
]


def posterior_of(model: Model) -> Posterior | None:
    """The posterior that a network lets choose; none of one without a choice."""
    match model:
        case MLP(posterior=posterior) | Transformer(posterior=posterior):
            return posterior
        case (
            Fusion()
            | TAGI()
            | Generative()
            | Agent()
            | Slots()
            | Clusters()
            | AssociativeMemory()
            | Filter()
            | Budgeted()
            | External()
        ):
            return None
        case _:
            assert_never(model)


def unmeasured(model: Model) -> tuple[str, ...]:
    """Starts of metrics of what a model has not: edges between tokens, or a bound."""
    match model:
        case Transformer(attention=Attention()):
            return ()
        case AssociativeMemory(energy="quadratic"):
            return OF_BOUND
        case _:
            return OF_EDGES


def ensemble_of(model: Model) -> Ensemble | None:
    """The ensemble that a model asks for."""
    posterior = posterior_of(model)
    return posterior if isinstance(posterior, Ensemble) else None
