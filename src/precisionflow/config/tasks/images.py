"""Tasks of images: models of them, and the objects that they show."""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from precisionflow.config.allocation import PatchReader
from precisionflow.config.base import Count, Fraction
from precisionflow.config.drawn_tables import DrawnObjects, DrawnScenes
from precisionflow.config.engine import DeepSpeedEngine, TorchEngine
from precisionflow.config.evaluation import Evaluation
from precisionflow.config.likelihoods import AllocationElbo, FreeEnergy
from precisionflow.config.networks import Clusters, Generative, Slots
from precisionflow.config.source import Splits
from precisionflow.config.sources import ImageSource, ScikitLearnImages
from precisionflow.config.tasks.classes import CLASS_METRICS, ClassTask, told_apart
from precisionflow.config.tasks.without_labels import WithoutLabels

IMAGE_METRICS = (
    "free_energy",
    "reconstruction_error",
    "reconstruction_error_pca",
    "completion_error",
    "completion_error_pca",
    "pit_error",
    "ood_auroc_shuffled",
)
"""Metrics of a model of images, beside those of the classes that it tells."""


class Images(ClassTask):
    """Model images: reconstruct them, complete a missing half, tell what is unlike, and the class if there is one."""

    networks: ClassVar = (Generative,)
    likelihoods: ClassVar = (FreeEnergy,)
    engines: ClassVar = (TorchEngine, DeepSpeedEngine)
    several_splits: ClassVar[Splits] = "cut"
    causal: ClassVar = False
    beside: ClassVar = IMAGE_METRICS
    metrics: ClassVar = (*CLASS_METRICS, *beside)
    without_zero: ClassVar = ("free_energy", "validation_loss", "coverage_")
    kind: Literal["images"] = "images"
    source: ImageSource = ScikitLearnImages()
    validation_fraction: Fraction = 0.1
    """Share of the training images that early stopping may look at; the test images are never in it."""
    unknown: tuple[str, ...] = ()
    """Classes whose images are left out of all parts; they are scored beside the test images, to be told from them."""

    @property
    def headline(self) -> tuple[str, ...]:
        """Metrics that are contrasted when the experiment names none."""
        second = "accuracy" if self.source.labelled else "completion_error"
        return ("free_energy", second, "reconstruction_error")

    @model_validator(mode="after")
    def _has_the_unknown_classes(self) -> Self:
        if self.unknown and not self.source.labelled:
            raise ValueError(
                f"task.unknown: names {', '.join(self.unknown)}, but the images have no classes; name their column in "
                "task.source.target, or leave it out"
            )
        return self

    def measured(self, evaluation: Evaluation) -> tuple[str, ...]:
        """Names of all metrics; coverage is that of missing pixels; with unknown classes how well these are told.

        Of images without classes none of those of classes.
        """
        coverage = tuple(name for name in evaluation.intervals if name.startswith("coverage_"))
        if not self.source.labelled:
            return (*self.beside, "validation_loss", *coverage)
        told = told_apart("confidence", "entropy", "energy") if self.unknown else ()
        return (*super().measured(evaluation), *coverage, *told)


class Objects(WithoutLabels):
    """Group the pixels of images by the objects that they are of, without a label."""

    networks: ClassVar = (Slots, Clusters)
    headline: ClassVar = ("adjusted_rand_index",)
    metrics: ClassVar = ("adjusted_rand_index", "validation_loss")
    kind: Literal["objects"] = "objects"
    source: DrawnObjects = DrawnObjects()
    train: Count = 1000
    """Images of the training part."""
    valid: Count = 100
    """Images that early stopping may look at."""
    test: Count = 200
    """Images of the test part."""


class Allocation(ClassTask):
    """Tell the class of the figure that a query asks for, from tokens that are shared among the patches of an image."""

    networks: ClassVar = (PatchReader,)
    likelihoods: ClassVar = (AllocationElbo,)
    engines: ClassVar = (TorchEngine, DeepSpeedEngine)
    several_splits: ClassVar[Splits] = "none"
    causal: ClassVar = False
    headline: ClassVar = ("accuracy", "nll", "tokens_of_figure")
    beside: ClassVar = ("tokens", "tokens_of_figure", "padding")
    metrics: ClassVar = (*CLASS_METRICS, *beside)
    without_zero: ClassVar = ("validation_loss",)
    unknown: ClassVar[tuple[str, ...]] = ()
    kind: Literal["allocation"] = "allocation"
    source: DrawnScenes = DrawnScenes()
    train: Count = 2000
    """Images of the training part."""
    valid: Count = 200
    """Images that early stopping may look at."""
    test: Count = 1000
    """Images of the test part."""
