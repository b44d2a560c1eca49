"""Generative predictive coding: images as the lowest state, free energies, what is believed about the states above.

p(image, states) = p(s_L given class) prod_l p(s_{l-1} given s_l): each state is the prediction from above plus an error
(Rao & Ballard 1999). It is the chain of `energy.Clamped` from the class down to the image, whose loss is the image's
own -log p(error), so that states settle by `settle`, and each feels the error of its own prediction and the one below.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from precisionflow.config import Experiment
from precisionflow.config.layers import kinds_of_errors, layers_with_errors, require_kinds, require_raised
from precisionflow.config.learning import GaussianLaw, PredictiveCoding
from precisionflow.config.networks import Generative as Config
from precisionflow.inference.predictive_coding.amortised import Amortised
from precisionflow.inference.predictive_coding.energy import Clamped, Pass
from precisionflow.inference.predictive_coding.laplace import log_volume, output_variance
from precisionflow.inference.predictive_coding.laws.assigned import (
    Laws,
    layer_law,
)
from precisionflow.inference.predictive_coding.settle import Settled, begun, check_stable, rose, settle
from precisionflow.models.networks.build import build, features_of
from precisionflow.models.networks.layered import Layered
from precisionflow.records.cards import DatasetCard

Images = Float[Tensor, "images pixels"]
Classes = Int[Tensor, "images"]


class Inferred(NamedTuple):
    """What is believed about the states of images."""

    clamped: Clamped
    errors: list[Tensor]
    """Settled errors, the highest first."""
    image: Images
    """The image that the settled states predict."""
    free_energies: Float[Tensor, "images"]
    """See `Generative.free_energies`, in nats."""


class Generative(nn.Module):
    """A network from class to image with the laws of all its errors, the image's among them.

    Where `learning.start` is amortised, the guess of its errors is part of it too: a new image settles from it.
    """

    def __init__(self, network: Layered, config: Config, learning: PredictiveCoding, *, pixels: int) -> None:
        """ValueError where `learning` or `config.prior` names a layer that does not exist."""
        super().__init__()
        self.network = network
        self.config = config
        self.learning = learning
        self.places = layers_with_errors(learning, count=len(network.states))
        kinds = kinds_of_errors(learning, config)
        require_kinds(learning, kinds)
        require_raised(config.prior, [0], key="model.prior")
        prior = layer_law(GaussianLaw(), config.prior, state=network.states[0])
        shapes = [*(network.states[place] for place in self.places), (pixels,)]
        *lower, self.image_law = (
            layer_law(learning.law_of(kind), learning.precision_of(kind), state=shapes[number], layer=number)
            for number, kind in kinds.items()
        )
        self.laws = Laws([prior, *lower])
        guessed = learning.start == "amortised"
        self.amortised = Amortised([network.states[place] for place in self.places]) if guessed else None

    def losses(self, predicted: Images, image: Images) -> Images:
        """-log p(image given the lowest state) of each pixel, in nats."""
        return self.image_law.negative_log_density(image - predicted, predicted)

    def clamped(self, images: Images, classes: Classes, *, seen: Images | None = None) -> Clamped:
        """Images and classes held fixed; `seen` is 1 at pixels that count, 0 at others, whatever stands there."""
        images = images if seen is None else torch.where(seen > 0, images, 0.0)
        return Clamped(
            self.network,
            self.losses,
            classes,
            images,
            factors=seen,
            places=self.places,
            output_law=self.image_law,
        )

    def spread(self, clamped: Clamped, errors: list[Tensor]) -> Float[Tensor, "images"]:
        """What the belief about the states adds to the energy: 0, or 1/2 log|H / 2 pi| of the curvature H.

        NaN of an image whose H is not positive definite as far as its dtype tells; a sum over images is NaN with it.
        """
        if self.config.beliefs == "mode":
            return errors[0].new_zeros(len(errors[0]))
        return log_volume(clamped, errors, self.laws)

    def free_energies(self, clamped: Clamped, errors: list[Tensor]) -> Float[Tensor, "images"]:
        """-log p(image, states) + spread of each image.

        With beliefs `laplace` the variational free energy of a Gaussian about the states, of covariance H^-1: on a
        linear Gaussian network -log p(image) at the settled states and above it elsewhere. NaN where the spread is.
        """
        return clamped.energies(clamped.passed(errors), self.laws) + self.spread(clamped, errors)

    def infer(self, images: Images, classes: Classes, *, seen: Images | None = None) -> Inferred:
        """Settle the states of images by `model.iterations` steps at most and say what they predict.

        The free energy alone of an image is NaN where its spread is. Unsettled where settling raised the energy of all.
        """
        clamped, _, settled = self._settled(images, classes, seen)
        with torch.no_grad():
            last = clamped.passed(settled.errors)
            energy = clamped.energy(last, self.laws)
            check_stable(settled, energy, config=self.learning, targets=images.numel(), places=self.places)
            return Inferred(clamped, settled.errors, last.output, self.free_energies(clamped, settled.errors))

    def infer_each(self, images: Images, classes: Classes, *, seen: Images | None = None) -> Inferred:
        """The same, each image judged by itself: its free energy is NaN where settling raised its own energy."""
        clamped, start, settled = self._settled(images, classes, seen)
        with torch.no_grad():
            last = clamped.passed(settled.errors)
            before, after = (clamped.energies(passed, self.laws) for passed in (start, last))
            free = after + self.spread(clamped, settled.errors)
            raised = rose(before, after, targets=images.shape[1])
            return Inferred(clamped, settled.errors, last.output, free.masked_fill(raised, torch.nan))

    def _settled(
        self, images: Images, classes: Classes, seen: Images | None
    ) -> tuple[Clamped, Pass, Settled]:
        """What is held fixed, where settling begins, and where it ends."""
        clamped = self.clamped(images, classes, seen=seen)
        with torch.enable_grad():
            start = begun(clamped, self.learning, self.laws, self.amortised).start
        steps = self.config.iterations
        return clamped, start, settle(clamped, start, self.laws, config=self.learning, steps=steps)

    def pit(self, inferred: Inferred, images: Images) -> Images:
        """P(pixel <= what stands in `images`), of each pixel, seen or not, given the seen ones; in double precision.

        With beliefs `mode`, whose states are certain, under the image's law about what they predict. With `laplace`,
        whose law is Gaussian, under a Gaussian of `predicted_variance`; NaN of an image whose free energy is.
        """
        with torch.no_grad():
            error = images - inferred.image
            if self.config.beliefs == "mode":
                return self.image_law.pit_and_dispersion(error, inferred.image)[0]
            return torch.special.ndtr(error.double() / self.predicted_variance(inferred).double().sqrt())

    def predicted_variance(self, inferred: Inferred) -> Images:
        """Variance of each pixel, seen or not, given the seen ones: 1 / precision + that of what the states predict.

        Of beliefs `laplace`. NaN of an image whose free energy is.
        """
        with torch.no_grad():
            noise = 1 / self.image_law.precision(inferred.image).expand_as(inferred.image)
            return noise + output_variance(inferred.clamped, inferred.errors, self.laws)

    def from_the_top(self, inferred: Inferred) -> Images:
        """The image that the highest state predicts alone, every error below it 0."""
        highest, *lower = inferred.errors
        with torch.no_grad():
            return inferred.clamped.output([highest, *map(torch.zeros_like, lower)])  # type: ignore[no-any-return]


def generative_model(experiment: Experiment, card: DatasetCard) -> Generative:
    """The model of images of an experiment, its weights drawn from torch's generator."""
    model, learning = experiment.model, experiment.learning
    assert isinstance(model, Config)
    assert isinstance(learning, PredictiveCoding)
    return Generative(build(experiment, card), model, learning, pixels=features_of(card))
