"""The report of a task whose target is one of several classes: accuracy against confidence, errors by confidence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from precisionflow.report.by_class import class_tables
from precisionflow.report.figures.calibration import confidence_diagram
from precisionflow.report.pictures import Picture
from precisionflow.report.predictions import ClassPredictions, read_classes
from precisionflow.report.tasks.base import Calibration, FinerScores, TaskReport, Truth

CLASS_CALIBRATION = (
    "ece_equal_mass",
    "mce",
    "class_wise_ece",
    "brier_reliability",
    "brier_resolution",
    "brier_uncertainty",
    "aurc",
)
"""Metrics of class probabilities that have a table of their own."""


@dataclass(frozen=True)
class ClassWords:
    """What the sentences call the rows and the classes of a task."""

    rows: str
    """Plural of one prediction's subject."""
    answer: str
    """Singular of a class."""
    dependence: str
    """What the band leaves out, as a clause after "Band for n independent rows"."""


@dataclass(frozen=True)
class Classes(TaskReport):
    """Probabilities of classes are predicted."""

    words: ClassWords

    @cached_property
    def pooled(self) -> dict[str, ClassPredictions]:
        """Variant's name -> the test predictions of all its cells."""
        return {variant: read_classes(folders) for variant, folders in self.folders.items()}

    def finer(self, metrics: Sequence[str], *, dataset: str) -> list[FinerScores]:
        of = tuple(name for name in CLASS_CALIBRATION if name in metrics)
        title = f"Calibration of all classes, and errors by confidence, on {dataset}"
        return [FinerScores(title, of)] if of else []

    def calibration(self, *, name: str) -> Calibration:
        rows = min(p.effective_rows for p in self.pooled.values())
        words = self.words
        note = (
            f"Band for {rows:,} independent {words.rows}{words.dependence}. Below the diagonal the most probable "
            f"{words.answer} is right less often than it is said to be: overconfident."
        )
        finer = [table for variant, of in self.folders.items() for table in class_tables(variant, of)]
        return Calibration(note, tuple(self._pictures(name)), tuple(finer))

    def _pictures(self, name: str) -> Iterator[Picture]:
        for index, variant in enumerate(self.variants):
            drawn = confidence_diagram(
                variant.name,
                self.pooled[variant.name],
                index,
                bins=variant.experiment.evaluation.bins,
                confidence=self.experiment.ablation.confidence,
                name=f"{name}-confidence-{index}",
            )
            caption = f"Accuracy against confidence of {variant.name}; bars: share of {self.words.rows}."
            yield Picture(drawn, caption)

    @property
    def truths(self) -> dict[str, Truth]:
        return {}
