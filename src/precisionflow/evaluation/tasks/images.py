"""Images: their class by the lowest free energy, reconstruction, completion, detection of what is unlike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.config import Experiment
from precisionflow.data.batches import Rows
from precisionflow.data.streams import Stream, Use
from precisionflow.evaluation.calibration.coverage import reliability
from precisionflow.evaluation.calibration.pit import pit_error
from precisionflow.evaluation.classes import StatedTargets
from precisionflow.evaluation.metrics import per_cent
from precisionflow.evaluation.scored import Scored
from precisionflow.evaluation.scores.detection import area_under_roc
from precisionflow.evaluation.scores.images import PrincipalComponents
from precisionflow.evaluation.tasks.classification import RowClassPredictor, Stated
from precisionflow.inference.predictive_coding.generative import Inferred, generative_model
from precisionflow.models.posteriors.predictive import Features
from precisionflow.records.cards import DatasetCard
from precisionflow.records.picture import upper_half
from precisionflow.records.schemas import IMAGE_PREDICTIONS, IMAGES
from precisionflow.results.layout import PreparedSplit

Images = Float[Tensor, "images pixels"]
SETTLED_NUMBERS = 1 << 24
"""Derivatives of pixels by errors that are in memory at once."""
SHOWN = 8
"""Images that are kept to be looked at, of each choice."""


class Seen(NamedTuple):
    """What a model makes of images, in standardised units."""

    free_energies: Float[Tensor, "images classes"]
    """Under each class, in nats."""
    from_the_top: Images
    """What the highest state predicts under the class of the lowest free energy."""
    completed: Images
    """What the lowest state predicts under that class."""
    pit: Images
    """P(pixel <= what it is), of each pixel under that class, in double precision."""


@dataclass(frozen=True)
class ImagePredictor(RowClassPredictor):
    """Images in; free energies under every class, and so probabilities of classes, all equally likely, out."""

    predicts: ClassVar = "classes of images"

    @staticmethod
    def untrained(experiment: Experiment, card: DatasetCard) -> nn.Module:
        """The model of images before it was trained."""
        return generative_model(experiment, card)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an image."""
        return self.data_card.shape or (len(self.data_card.table.feature_mean),)

    def upper_half(self, images: Images) -> Images:
        """1 at the pixels of the upper half of each image, 0 at the others; see `records.picture.upper_half`."""
        return torch.from_numpy(upper_half(self.shape)).to(images.dtype).expand_as(images)

    def standardised(self, features: Features) -> Stated:
        """log p(class given image) = log softmax(-free energy); the energy is -log of the mean of exp(-free energy)."""
        return _stated(self.seen(features))

    def stated(self, features: Float[np.ndarray, "images pixels"]) -> Stated:
        """What is stated of images that somebody asks for; ValueError as `asked`."""
        return _stated(self.asked(self.taken(features)))

    def asked(self, images: Images, *, known: Images | None = None) -> Seen:
        """As `seen`; ValueError that names an image whose energy settling raised, or that has no finite one."""
        found = self.seen_each(images, known=known)
        if strange := (~found.free_energies.isfinite().all(dim=1)).nonzero().flatten().tolist():
            raise ValueError(
                f"row {strange[0]}: settling gives the image no finite free energy, as one that is unlike those of "
                "training; leave it out"
            )
        return found

    def stated_each(self, images: Images) -> Stated:
        """What is stated of standardised images as they are in `seen_each`."""
        return _stated(self.seen_each(images))

    def seen_each(self, images: Images, *, known: Images | None = None) -> Seen:
        """As `seen`, but the free energy of an image under a class is NaN where settling raised its energy there."""
        return self._seen(images, known, infer=self.model.infer_each)

    def seen(self, images: Images, *, known: Images | None = None) -> Seen:
        """Settle the images under every class; `known` is 1 at pixels that count, 0 at others.

        Unsettled where that raised the energy of all.
        """
        return self._seen(images, known, infer=self.model.infer)

    def _seen(self, images: Images, known: Images | None, *, infer: Callable[..., Inferred]) -> Seen:
        classes, pixels = len(self.data_card.class_names), images.shape[1]
        size = max(1, SETTLED_NUMBERS // (classes * pixels * sum(self.model.config.states)))
        known = torch.ones_like(images) if known is None else known
        parts = [
            self._settled(part.to(self.device), of.to(self.device), classes=classes, infer=infer)
            for part, of in zip(images.split(size), known.split(size), strict=True)
        ]
        return Seen(*(torch.cat(of).cpu() for of in zip(*parts, strict=True)))

    def _settled(
        self, images: Images, known: Images, *, classes: int, infer: Callable[..., Inferred]
    ) -> Seen:
        count = len(images)
        repeated, mask = (of.repeat_interleave(classes, dim=0) for of in (images, known))
        inferred = infer(repeated, torch.arange(classes, device=images.device).repeat(count), seen=mask)
        free = inferred.free_energies.view(count, classes)
        best = torch.arange(count, device=images.device) * classes + free.argmin(dim=1)
        return Seen(
            free,
            self.model.from_the_top(inferred)[best],
            inferred.image[best],
            self.model.pit(inferred, repeated)[best],
        )

    def score(self, experiment: Experiment, data: Path, *, beside: Sequence[StatedTargets] = ()) -> Scored:
        """Scores of the classes as of any rows, and those of the images."""
        scored = self.scored(experiment, data, beside)
        place = PreparedSplit(data)
        train, rows = (Rows.read(place.part(part)) for part in ("train", "test"))
        test = torch.from_numpy(rows.features)
        levels = experiment.evaluation.levels
        components = PrincipalComponents.fit(train.features, count=self.model.config.states[0])
        metrics = (
            scored.metrics | self._of_images(test, components) | self._completion(test, components, levels)
        )
        return scored._replace(
            metrics={name: metrics[name] for name in experiment.metrics if name in metrics},
            images=self._shown(rows, unknown=place.unknown),
        )

    def scored(self, experiment: Experiment, data: Path, beside: Sequence[StatedTargets]) -> Scored:
        """Scores of the classes alone."""
        return super().score(experiment, data, beside=beside)

    def _shown(self, test: Rows, *, unknown: Path) -> pa.Table:
        """A records.schemas.IMAGES; `unknown` is the file of the unknown classes, if there is any."""
        pools = [test, Rows.read(unknown)] if unknown.is_file() else [test]
        pixels = torch.from_numpy(np.concatenate([of.features for of in pools]))
        energies = self.standardised(pixels).energy / pixels.shape[1]
        first, strangest = np.arange(len(test.rows))[:SHOWN], np.argsort(-energies, kind="stable")[:SHOWN]
        chosen = np.concatenate([first, strangest])
        images = pixels[chosen]
        known = self.upper_half(images)
        columns = {
            "original": images,
            "reconstruction": self.seen(images).from_the_top,
            "completed": torch.where(known > 0, images, self.seen(images, known=known).completed),
        }
        return pa.table(
            {
                "chosen": ["first"] * len(first) + ["strangest"] * len(strangest),
                "row": np.concatenate([of.rows for of in pools])[chosen],
                "free_energy": energies[chosen],
                "shape": [list(self.shape)] * len(chosen),
            }
            | {
                name: self.data_card.table.restore_features(of.numpy()).tolist()
                for name, of in columns.items()
            },
            schema=IMAGES,
        )

    def _of_images(self, test: Images, components: PrincipalComponents) -> dict[str, float]:
        """Free energy, reconstruction, and the images told from the same with shuffled pixels."""
        found, count = self.seen(test), test.shape[1]
        energy = _stated(found).energy
        shuffled = self.standardised(shuffled_pixels(test)).energy
        return {
            "free_energy": float(energy.mean()) / count,
            "reconstruction_error": float((found.from_the_top - test).square().mean()),
            "reconstruction_error_pca": float(
                np.square(components.reconstructed(test.numpy()) - test.numpy()).mean()
            ),
            "ood_auroc_shuffled": area_under_roc(energy, shuffled),
        }

    def _completion(
        self, test: Images, components: PrincipalComponents, levels: tuple[float, ...]
    ) -> dict[str, float]:
        """The lower half given the upper: error, and how true the predicted distributions of its pixels are."""
        known = self.upper_half(test)
        found, seen = self.seen(test, known=known), known[0].numpy() > 0
        lost, mean = test.double().numpy(), found.completed.double().numpy()
        linear, pit = components.completed(test.numpy(), seen=seen), found.pit.numpy()[:, ~seen].ravel()
        inside = reliability(pit, levels=np.array(levels))
        return {
            "completion_error": float(np.square(mean - lost)[:, ~seen].mean()),
            "completion_error_pca": float(np.square(linear - lost)[:, ~seen].mean()),
            "pit_error": pit_error(pit),
        } | {f"coverage_{per_cent(level)}": float(of) for level, of in zip(levels, inside, strict=True)}


class UnlabelledPredictor(ImagePredictor):
    """Images without classes in, their free energies out."""

    predicts: ClassVar = "images"

    def scored(
        self,
        experiment: Experiment,  # noqa: ARG002 - there are no classes to score
        data: Path,
        beside: Sequence[StatedTargets],  # noqa: ARG002 - nor to recalibrate
    ) -> Scored:
        """What is found of each test image."""
        rows = Rows.read(PreparedSplit(data).part("test"))
        columns = {"row": rows.rows} | self.found(torch.from_numpy(rows.features), self.seen)
        return Scored(pa.table(columns, schema=IMAGE_PREDICTIONS), IMAGE_PREDICTIONS, {}, {})

    def found(self, images: Images, seen: Callable[..., Seen]) -> dict[str, Float[np.ndarray, "images"]]:
        """Columns of records.schemas.IMAGE_PREDICTIONS, but the row, of standardised images as they are `seen`."""
        known = self.upper_half(images)
        whole, half = seen(images), seen(images, known=known)
        errors = {
            "reconstruction_error": whole.from_the_top - images,
            "completion_error": (half.completed - images)[:, known[0] == 0],
        }
        return {"free_energy": _stated(whole).energy / images.shape[1]} | {
            name: of.double().square().mean(dim=1).numpy() for name, of in errors.items()
        }


def shuffled_pixels(images: Images) -> Images:
    """Each image with its own pixels in an order of its own, the same ones in every run."""
    random = Stream(0, 0).generator(Use.PREDICTION)
    return torch.from_numpy(random.permuted(images.numpy(), axis=1))


def _stated(found: Seen) -> Stated:
    free = found.free_energies.double()
    log_probabilities = (-free).log_softmax(dim=1)
    entropy = -(log_probabilities.exp() * log_probabilities).sum(dim=1)
    energy = -((-free).logsumexp(dim=1) - np.log(free.shape[1]))
    parts = (log_probabilities, entropy, torch.zeros_like(entropy), energy)
    return Stated(*(part.numpy() for part in parts))
