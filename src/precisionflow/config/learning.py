"""Ways of learning: how the error reaches the weights."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Config, Count, Fraction, NonNegative, Positive, Whole

Precise = Annotated[float, Field(ge=1e-30, le=1e30), NUMBER]
"""A precision that float32 holds, its inverse and its square root too."""
STABLE_BELOW = 2.0
"""Step size, in units of an error's variance, from which on a step overshoots the minimum of its law alone by more than
it was away."""
SMALLEST_RATIO = 1e-6
"""Of the precisions in a mixture whose ratios are learned."""


class Backpropagation(Config):
    """The gradient of the objective through all layers."""

    remedy: ClassVar = "lower training.learning_rate or training.gradient_clip"
    """What helps where it diverges."""
    kind: Literal["backprop"] = "backprop"


class GaussianLaw(Config):
    """p(e) = N(e; 0, 1 / precision)."""

    kind: Literal["gaussian"] = "gaussian"
    shape: ClassVar = "fixed"


class LaplaceLaw(Config):
    """p(e) = exp(-|e| / b) / 2b of variance 2 b^2 = 1 / precision: an error stays 0 until the loss pulls by 1 / b."""

    kind: Literal["laplace"] = "laplace"
    shape: ClassVar = "fixed"


class StudentTLaw(Config):
    """p(e) = t(e sqrt(precision); degrees of freedom) sqrt(precision): large errors pull less than small ones."""

    kind: Literal["student_t"] = "student_t"
    degrees_of_freedom: Annotated[float, Field(gt=0.5, lt=1000), NUMBER] = 4.0
    shape: Literal["fixed", "learned"] = "fixed"
    """learned: each layer learns its degrees of freedom, between 0.5 and 1,000, from those given."""


class MixtureLaw(Config):
    """p(e) = sum_k share_k N(e; 0, 1 / (ratio_k precision)): one narrow Gaussian, of ratio 1, and wider ones."""

    kind: Literal["mixture"] = "mixture"
    shares: Annotated[tuple[Fraction, ...], Field(min_length=1)] = (0.1,)
    """Of the wider ones; the narrow one has the rest."""
    ratios: Annotated[tuple[Fraction, ...], Field(min_length=1)] = (0.01,)
    """Precision of each wider one over that of the narrow one."""
    shape: Literal["fixed", "learned"] = "fixed"
    """learned: each layer learns its shares and ratios, from those given."""

    @model_validator(mode="after")
    def _shares_are_of_one(self) -> Self:
        if len(self.shares) != len(self.ratios):
            raise ValueError(
                f"should have as many shares as ratios, not {len(self.shares)} and {len(self.ratios)}; give one of "
                "each for every wider component"
            )
        if self.shape == "learned" and min(self.ratios) < SMALLEST_RATIO:
            raise ValueError(
                f"should have learned ratios of at least {SMALLEST_RATIO:g}, not {list(self.ratios)}; raise them or "
                "leave shape at fixed"
            )
        if sum(self.shares) >= 1:
            raise ValueError(f"should have shares below 1 in sum, not {list(self.shares)}; lower them")
        return self


class FixedPrecision(Config):
    """One precision for every error of a layer."""

    kind: Literal["fixed"] = "fixed"
    value: Precise = 1000.0
    """Inverse variance of an error; low values let errors move the states so far that learning suffers. A Student's t
    law has it as inverse square of its scale, a mixture as precision of its narrow component."""
    growth: Positive = 1.0
    """Layer n of those with an error has value growth^n, counted from 0 at the inputs: below 1 it decays upwards. Of a
    model of images 0 is the highest state, whose precision is `model.prior`, and the image is the last."""
    raised: tuple[Whole, ...] = ()
    """Layers whose precision is `raised_by` times that, counted as for `growth`."""
    raised_by: Positive = 10.0
    last: Precise | None = None
    """What `value` becomes over the optimiser steps, by the same factor in each; none: it stays."""

    @model_validator(mode="after")
    def _raises_a_layer_once(self) -> Self:
        if len(set(self.raised)) < len(self.raised):
            raise ValueError(f"should have each layer once in raised, not {list(self.raised)}")
        return self


class BoundedPrecision(Config):
    """A precision that minimises the energy together with the weights, at the rate of the group `distribution`."""

    initial: Precise = 1000.0
    lowest: Precise = 1.0
    highest: Precise = 1e6
    """The energy has no minimum in precision and error together: both at their best, the precision grows without end
    and the error vanishes, unless losses are large. The bounds keep it."""

    @model_validator(mode="after")
    def _starts_inside(self) -> Self:
        if not self.lowest < self.initial < self.highest:
            raise ValueError(
                f"should have its initial {self.initial:g} between lowest {self.lowest:g} and highest "
                f"{self.highest:g}; move it or a bound"
            )
        return self


class LearnedPrecision(BoundedPrecision):
    """A parameter, whatever the state."""

    kind: Literal["learned"] = "learned"
    per: Literal["layer", "channel", "head", "position"] = "layer"
    """What has a precision of its own: each layer, each of its channels or each place of its sequences. head: the error
    of an attention layer is that of its heads before they are mixed, and each head has one; other layers have one."""


class PredictedPrecision(BoundedPrecision):
    """A linear map of the layer's prediction, which the state above makes: each sample and place has its own."""

    kind: Literal["predicted"] = "predicted"
    per: Literal["layer", "channel"] = "layer"
    """What has an output of the map: the whole state of a sample and place, or each of its channels."""


Law = Annotated[GaussianLaw | LaplaceLaw | StudentTLaw | MixtureLaw, Field(discriminator="kind")]
Precision = Annotated[FixedPrecision | LearnedPrecision | PredictedPrecision, Field(discriminator="kind")]


class Gradient(Config):
    """Gradient descent."""

    kind: Literal["gradient"] = "gradient"


class Momentum(Config):
    """Nesterov's momentum: the gradient is taken where the last move leads on to."""

    kind: Literal["momentum"] = "momentum"
    share: Fraction = 0.5
    """Of the last move that goes on."""


class Secant(Config):
    """Newton-like: the loss's curvature along the last move is added to that of the law."""

    kind: Literal["secant"] = "secant"
    per: Literal["layer", "channel"] = "layer"
    """What has a curvature of its own: each layer, or each of its channels, over all rows and places of a batch."""


class GaussNewton(Config):
    """The gradient over the curvature of the whole energy, of all errors of a sample at once; for generative models."""

    kind: Literal["gauss_newton"] = "gauss_newton"


class OfKind(Config):
    """Law and precision of the errors of one kind of layer; what is left out is that of all layers."""

    law: Law | None = None
    precision: Precision | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.law is None and self.precision is None:
            raise ValueError("should have a law, a precision or both")
        return self


Descent = Annotated[Gradient | Momentum | Secant | GaussNewton, Field(discriminator="kind")]


class PredictiveCoding(Config):
    """Errors as variables: settle e to lower the energy, then take each layer's local gradient.

    Energy per sample: -log p(e_i; law, precision) summed over layers, plus the objective at the output.
    """

    remedy: ClassVar = "lower learning.step_size, raise learning.precision or lower training.learning_rate"
    kind: Literal["predictive_coding"] = "predictive_coding"
    settles: Literal["errors", "states", "incremental"] = "errors"
    """errors: all at once, each added to its state. states: each moved by the errors beside it, a signal travels one
    layer an iteration. incremental: errors, and the weights learn after every step on them."""
    layers: tuple[Whole, ...] | None = None
    """Layers that have an error, counted from 0 at the inputs; the others learn by backprop from the next error above.
    None: every layer."""
    pathway: Literal["bidirectional", "bottom_up", "top_down"] = "bidirectional"
    """What passes between a layer and the one above. bidirectional: its state with the error upwards, a gradient
    downwards. bottom_up: no gradient downwards. top_down: upwards what the layer predicted, without its error."""
    cut_above: tuple[Whole, ...] | None = None
    """Layers above which the other direction is cut. None: all with an error, under bottom_up but for the last one,
    which the loss has to reach."""
    iterations: Count = 2
    """Most gradient steps on the errors for each batch."""
    last_iterations: Count | None = None
    """What `iterations` become over the optimiser steps, in a line; none: they stay."""
    start: Literal["forward", "zeros", "amortised"] = "forward"
    """States before the first step. forward: those of the forward pass, where every error is 0. zeros: 0, of networks
    where no norm reads a state itself. amortised: with errors that a linear map guesses from the loss's gradient at the
    last state; it learns from settled ones."""
    descent: Descent = Gradient()
    step_size: Positive = 0.5
    """In units of the errors' variance, 1 / precision."""
    decay: Annotated[float, Field(gt=0, le=1), NUMBER] = 1.0
    """Factor of the step size from each iteration to the next."""
    law: Law = GaussianLaw()
    precision: Precision = FixedPrecision()
    by_layer: dict[str, OfKind] = {}
    """Kind of layer -> law and precision of its errors in place of those. Kinds are embedding, attention, feed_forward
    and convolution of a transformer, hidden of an mlp, evidence of a fusion, state and image of a generative model."""
    gradient: Literal["local", "energy"] = "local"
    """What weights follow. local: each layer its own error at the settled states, in one more forward pass. energy: the
    gradient of the whole energy at the errors of the last iteration, whose pass gives it instead of a step. At the
    settled point both are one; with 1 iteration, before any step, the energy's is backprop's."""
    tolerance: NonNegative = 0.0
    """Stop settling when the energy's relative change falls below this; 0: always take all iterations."""

    @property
    def looks_at_batches(self) -> bool:
        """Whether what settles of a sample depends on the samples beside it."""
        return self.tolerance > 0 or isinstance(self.descent, Secant)

    @property
    def laws(self) -> dict[str, Law]:
        """Every law that is given, by its dotted key."""
        own = {f"learning.by_layer.{kind}.law": of.law for kind, of in self.by_layer.items() if of.law}
        return {"learning.law": self.law, **own}

    @property
    def precisions(self) -> dict[str, Precision]:
        """Every precision that is given, by its dotted key."""
        own = {
            f"learning.by_layer.{kind}.precision": of.precision
            for kind, of in self.by_layer.items()
            if of.precision
        }
        return {"learning.precision": self.precision, **own}

    def law_of(self, kind: str | None) -> Law:
        """The law of layers of a kind; none: of a network that names no kinds."""
        return self.laws.get(f"learning.by_layer.{kind}.law", self.law)

    def precision_of(self, kind: str | None) -> Precision:
        """The precision of layers of a kind; none as of `law_of`."""
        return self.precisions.get(f"learning.by_layer.{kind}.precision", self.precision)

    @property
    def of_heads(self) -> bool:
        """Whether the errors of attention are those of its heads."""
        of = self.precision_of("attention")
        return isinstance(of, LearnedPrecision) and of.per == "head"

    @property
    def steps(self) -> int:
        """Most steps on the errors of a batch, of the first one."""
        return self.steps_at(0.0)

    @property
    def fewest_steps(self) -> int:
        """The same of the batch that has the fewest."""
        return min(self.steps, self.steps_at(1.0))

    def steps_at(self, progress: float) -> int:
        """The same of the batch before which this share of the optimiser steps comes."""
        last = self.iterations if self.last_iterations is None else self.last_iterations
        iterations = round(self.iterations + (last - self.iterations) * progress)
        return iterations if self.gradient == "local" else iterations - 1

    @model_validator(mode="after")
    def _errors_teach_what_is_learned(self) -> Self:
        learned = any(law.shape == "learned" for law in self.laws.values()) or not all(
            isinstance(precision, FixedPrecision) for precision in self.precisions.values()
        )
        if self.start == "amortised" and (self.fewest_steps == 0 or self.settles == "incremental"):
            raise ValueError(
                "learning.start: amortised learns from errors that have settled; take learning.settles errors or "
                "states and more learning.iterations"
            )
        if self.fewest_steps == 0 and learned:
            raise ValueError(
                "learning.iterations: after 1 with learning.gradient energy every error is 0, and no "
                "law can be learned from it; take 2 or learning.gradient local"
            )
        return self

    @model_validator(mode="after")
    def _settling_is_of_one_piece(self) -> Self:
        for key, law in self.laws.items():
            if self.settles == "states" and isinstance(law, LaplaceLaw):
                raise ValueError(
                    f"{key}.kind: laplace has no slope at 0, which a step on states needs; "
                    "use learning.settles errors or another law"
                )
        if self.settles == "states" and isinstance(self.descent, GaussNewton):
            raise ValueError(
                "learning.descent.kind: gauss_newton steps on errors; leave learning.settles at errors, or use gradient"
            )
        if self.settles == "incremental" and (self.tolerance or not isinstance(self.descent, Gradient)):
            raise ValueError(
                "learning.settles: incremental takes one step of the energy's gradient for every lesson; "
                "leave learning.tolerance at 0 and learning.descent.kind at gradient"
            )
        if self.settles == "incremental" and self.fewest_steps == 0:
            raise ValueError(
                "learning.iterations: 1 with learning.gradient energy takes no step; take 2 or learning.gradient local"
            )
        if self.of_heads and self.pathway != "bidirectional":
            raise ValueError(
                f"learning.pathway: {self.pathway} cuts a state, and with a precision per head of attention one passes "
                "the heads by; use bidirectional or another precision"
            )
        if self.cut_above is not None and self.pathway == "bidirectional":
            raise ValueError(
                "learning.cut_above: learning.pathway bidirectional cuts nothing; use bottom_up or top_down"
            )
        if self.pathway != "bidirectional" and self.step_size >= STABLE_BELOW:
            raise ValueError(
                f"learning.step_size: given {self.step_size:g}; under learning.pathway {self.pathway} an error is "
                f"stable below {STABLE_BELOW:g} and the energy need not fall, so that no rise would stop it; lower it"
            )
        if self.cut_above == ():
            raise ValueError(
                f"learning.cut_above: [] cuts nothing; name layers, or use bidirectional in place of {self.pathway}"
            )
        if self.layers == () and self.pathway != "bidirectional":
            raise ValueError(
                f"learning.pathway: {self.pathway} cuts above an error, and with learning.layers [] there is none; "
                "name layers or use bidirectional"
            )
        if self.layers is not None and len(set(self.layers)) < len(self.layers):
            raise ValueError(f"learning.layers: {list(self.layers)} names a layer twice; name it once")
        return self


Learning = Annotated[Backpropagation | PredictiveCoding, Field(discriminator="kind")]
