"""Assignment of error laws and precisions to layers."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, assert_never

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from precisionflow.config import learning as kinds
from precisionflow.config.layers import require_kinds
from precisionflow.config.optimiser import GroupName
from precisionflow.inference.predictive_coding.laws import Errors, Law, Precisions, Stepped, StepSize
from precisionflow.inference.predictive_coding.laws.gaussian import Gaussian
from precisionflow.inference.predictive_coding.laws.laplace import Laplace
from precisionflow.inference.predictive_coding.laws.mixture import Mixture
from precisionflow.inference.predictive_coding.laws.student_t import StudentT
from precisionflow.inference.predictive_coding.parameters import Constant, LearnedLogShares, LearnedNumbers
from precisionflow.inference.predictive_coding.precision import Fixed, Learned, Predicted, initial, precision

Present = Bool[Tensor, "batch places"]
FEWEST_DEGREES, MOST_DEGREES = 0.5, 1000.0


class LayerLaw(nn.Module):
    """-log p(e) of one layer, its precision stated by the layer's prediction."""

    def __init__(self, law: Any, precision: Any, *, start: Law | None, initial: float | None) -> None:
        """`law` is a module with the interface `Law`, `precision` one of `predictive_coding.precision`.

        `start` is the law before it or its precision learned, none where neither does; `initial` is its precision then,
        none of one that does not learn.
        """
        super().__init__()
        self.law = law
        self.precision = precision
        self.start = start
        self.initial = initial

    def energy(
        self,
        error: Errors,
        prediction: Errors,
        present: Present | None = None,
        importance: Float[Tensor, "samples"] | None = None,
    ) -> Float[Tensor, ""]:
        """sum -log p(e; precision) + log p(0; initial precision), over samples and channels, of places present.

        The second term does not learn; without it the energy would be far from the loss beside it. `importance` is a
        factor of each sample.
        """
        precision = self.precision(prediction)
        if present is not None or importance is not None:
            each = self.law.energy(error, precision) + self._learned_normaliser(precision)
            if present is not None:
                each = torch.where(present[..., None], each, 0.0)
            samples = each.flatten(1).sum(dim=1)
            return samples.sum() if importance is None else torch.dot(samples, importance.to(samples.dtype))
        total: Tensor = self.law.total_energy(error, precision)
        if self.start is None:
            return total
        normaliser = self._learned_normaliser(precision)
        # every normaliser is that of equally many errors
        return total + normaliser.sum() * (error.numel() / normaliser.numel())

    def _learned_normaliser(self, precision: Precisions) -> Precisions:
        """-log p(0) + log p(0; initial precision): 0 where nothing is learned."""
        if self.start is None:
            return precision.new_zeros(1)
        before = precision if self.initial is None else torch.full_like(precision, self.initial)
        return self.law.log_normaliser(precision) - self.start.log_normaliser(before)

    def advance(self, progress: float) -> None:
        """Give a fixed precision the value that it has after this share of the training steps."""
        if isinstance(self.precision, Fixed):
            self.precision.advance(progress)

    def negative_log_density(self, error: Errors, prediction: Errors) -> Errors:
        """-log p(e; precision) of each error, in nats."""
        precision = self.precision(prediction)
        return self.law.energy(error, precision) + self.law.log_normaliser(precision)  # type: ignore[no-any-return]

    def score(self, error: Errors, prediction: Errors) -> Errors:
        """See `Law.score`."""
        return self.law.score(error, self.precision(prediction))  # type: ignore[no-any-return]

    def pit_and_dispersion(self, error: Errors, prediction: Errors) -> tuple[Errors, Errors]:
        """P(E <= e) and e times its score, whose mean is 1 under the law: of each error, in double precision."""
        precision, error = self.precision(prediction).double(), error.double()
        return self.law.cdf(error, precision), error * self.law.score(error, precision)

    def of_heads(self, stated: Precisions) -> Float[Tensor, "heads"]:
        """See `Learned.of_heads`."""
        return self.precision.of_heads(stated) if isinstance(self.precision, Learned) else stated.new_empty(0)

    def curvature(self, prediction: Errors) -> Precisions:
        """See `Law.curvature`."""
        return self.law.curvature(self.precision(prediction))  # type: ignore[no-any-return]

    def stepped(self, error: Errors, gradient: Errors, prediction: Errors, *, step_size: StepSize) -> Stepped:
        """See `Law.stepped`."""
        return self.law.stepped(error, gradient, self.precision(prediction), step_size=step_size)  # type: ignore[no-any-return]


class Laws(nn.Module):
    """The laws of all layers, in their order."""

    group: ClassVar[GroupName] = "distribution"

    def __init__(self, layers: Sequence[LayerLaw]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.each = tuple(layers)
        """The same, without the search by name that a list of modules makes at every index."""
        self.follow_states = any(isinstance(layer.precision, Predicted) for layer in layers)
        """Whether what lies below an error changes its precision, and so the energy."""

    def advance(self, progress: float) -> None:
        """See `LayerLaw.advance`."""
        for layer in self.each:
            layer.advance(progress)

    def __getitem__(self, layer: int) -> LayerLaw:
        return self.each[layer]


def laws(
    config: kinds.PredictiveCoding,
    *,
    states: Sequence[tuple[int, ...]],
    heads: Sequence[int] | None = None,
    layer_kinds: Sequence[str] | None = None,
) -> Laws:
    """The laws of a configuration; `states` are the shapes of the layers' states of one sample, at most.

    `heads` are the numbers of heads that the errors of each belong to; none: nowhere any. `layer_kinds` are what the
    network calls them; none: it has no such names. ValueError for a law or a raised precision of a layer beyond them.
    """
    named = dict(enumerate(layer_kinds or [None] * len(states)))
    require_kinds(config, named)
    return Laws(
        [
            layer_law(
                config.law_of(named[layer]),
                config.precision_of(named[layer]),
                state=state,
                layer=layer,
                heads=of,
            )
            for layer, (state, of) in enumerate(zip(states, heads or [0] * len(states), strict=True))
        ]
    )


def layer_law(
    config: kinds.Law, of: kinds.Precision, *, state: tuple[int, ...], layer: int = 0, heads: int = 0
) -> LayerLaw:
    """The law of one layer, whose state of one sample has this shape at most."""
    fixed = isinstance(of, kinds.FixedPrecision)
    return LayerLaw(
        _law(config, channels=state[-1]),
        precision(of, state=state, layer=layer, heads=heads),
        start=None if fixed and config.shape == "fixed" else _fixed(config),
        initial=None if fixed else initial(of, layer=layer),
    )


def _law(config: kinds.Law, *, channels: int) -> Law:
    match config:
        case kinds.StudentTLaw(shape="learned", degrees_of_freedom=degrees):
            bounds = {"lowest": FEWEST_DEGREES, "highest": MOST_DEGREES}
            return StudentT(LearnedNumbers((degrees,), **bounds, first=(), channels=channels))
        case kinds.MixtureLaw(shape="learned", ratios=ratios):
            return Mixture(
                LearnedLogShares(_shares(config), channels=channels),
                LearnedNumbers(
                    ratios, lowest=kinds.SMALLEST_RATIO, highest=1.0, first=(1.0,), channels=channels
                ),
            )
        case _:
            return _fixed(config)


def _fixed(config: kinds.Law) -> Law:
    """The law with the numbers of its configuration."""
    match config:
        case kinds.GaussianLaw():
            return Gaussian()
        case kinds.LaplaceLaw():
            return Laplace()
        case kinds.StudentTLaw(degrees_of_freedom=degrees):
            return StudentT(Constant((degrees,)))
        case kinds.MixtureLaw(ratios=ratios):
            return Mixture(Constant([math.log(share) for share in _shares(config)]), Constant((1.0, *ratios)))
        case _:
            assert_never(config)


def _shares(config: kinds.MixtureLaw) -> tuple[float, ...]:
    return (1 - sum(config.shares), *config.shares)
