"""Layout of a results folder: the only place that joins its paths."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from precisionflow.config import Experiment, digest

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")


@dataclass(frozen=True)
class Results:
    """The folder of a run on this machine."""

    folder: Path

    @property
    def data(self) -> Path:
        """Prepared data of all tasks and splits."""
        return self.folder / "data"

    @property
    def models(self) -> Path:
        """Trained cells of all variants."""
        return self.folder / "model"

    def model(self, variant: Experiment) -> Path:
        """Trained cells of a resolved variant."""
        return variant_folder(self.models, variant)

    @property
    def evaluations(self) -> Path:
        """Evaluated cells of all variants."""
        return self.folder / "evaluation"

    def evaluation(self, variant: Experiment) -> Path:
        """Evaluated cells of a resolved variant."""
        return variant_folder(self.evaluations, variant)

    @property
    def aggregate(self) -> Path:
        """Table and contrasts."""
        return self.folder / "aggregate"

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / "report"

    @property
    def partial(self) -> Path:
        """The page of what stood when it was asked for, while the study was not finished."""
        return self.folder / "partial"

    @property
    def search(self) -> Path:
        """A search whose best settings the run trains with."""
        return self.folder / "search"

    def tuning(self, study: str) -> Path:
        """The search of a study of the tuned axes."""
        return self.folder / "tuning" / study

    @property
    def rooms(self) -> tuple[Path, ...]:
        """Folders that stages lie in, unlike copies of MLflow."""
        return self.data, self.models, self.evaluations, self.aggregate, self.report, self.search

    def experiment(self, name: str) -> Path:
        """The YAML file of an experiment before its axes are expanded."""
        return self.folder / "experiments" / f"{name}.yaml"

    @property
    def experiments(self) -> list[Path]:
        """The YAML files of all experiments, sorted."""
        return sorted((self.folder / "experiments").glob("*.yaml"))

    @classmethod
    def around(cls, cell: Path) -> "Results":
        """The results folder that a cell of `model` or `evaluation` lies in: five folders above."""
        above = cell.resolve().parents
        return cls(above[min(4, len(above) - 1)])


def variant_path(variant: Experiment) -> tuple[str, str, str]:
    """Folders of a variant inside `model` and `evaluation`: experiment, data set, variant."""
    return variant.name, variant.dataset, variant.variant


def variant_folder(room: Path, variant: Experiment) -> Path:
    """Folder of a variant inside a room of trained or evaluated cells."""
    return room.joinpath(*variant_path(variant))


@dataclass(frozen=True)
class PreparedSplit:
    """Prepared data of one task and split."""

    folder: Path

    @property
    def card(self) -> Path:
        """records.cards.DatasetCard."""
        return self.folder / "dataset.json"

    def part(self, part: Part) -> Path:
        """Rows of a table or tokens of a text."""
        return self.folder / f"{part}.parquet"

    @property
    def unknown(self) -> Path:
        """Rows of classes that are left out of the parts."""
        return self.folder / "unknown.parquet"


@dataclass(frozen=True)
class TrainedCell:
    """Files that training leaves of one (seed, split)."""

    folder: Path

    @property
    def weights(self) -> Path:
        """Tensors by name."""
        return self.folder / "model.safetensors"

    @property
    def stated(self) -> Path:
        """records.schemas.STATED of a model from outside, which has no weights."""
        return self.folder / "stated.parquet"

    @property
    def card(self) -> Path:
        """records.cards.ModelCard."""
        return self.folder / "model.json"

    @property
    def arithmetic(self) -> Path:
        """records.arithmetic.ArithmeticCard of `serve --calibrate`, beside the folder of what training wrote."""
        return self.folder.with_name(f"{self.folder.name}.arithmetic.json")

    @property
    def history(self) -> Path:
        """records.schemas.HISTORY."""
        return self.folder / "history.parquet"

    @property
    def settling(self) -> Path:
        """records.schemas.SETTLING, where training.monitor_every asks for it."""
        return self.folder / "settling.parquet"

    @property
    def attention(self) -> Path:
        """records.schemas.ATTENTION_HISTORY, where training.monitor_every asks for it."""
        return self.folder / "attention.parquet"

    @classmethod
    def below(cls, folder: Path) -> "list[TrainedCell]":
        """Every trained cell inside a folder, sorted."""
        return [cls(card.parent) for card in sorted(folder.glob("**/model.json"))]


@dataclass(frozen=True)
class EvaluatedCell:
    """Files that evaluation leaves of one (seed, split)."""

    folder: Path

    @property
    def predictions(self) -> Path:
        """Predictions of the test rows, in the task's schema."""
        return self.folder / "predictions.parquet"

    @property
    def metrics(self) -> Path:
        """records.schemas.METRICS."""
        return self.folder / "metrics.parquet"

    @property
    def cost(self) -> Path:
        """records.cards.CostCard."""
        return self.folder / "cost.json"

    @property
    def fit(self) -> Path:
        """records.schemas.FIT, of a table with one feature."""
        return self.folder / "fit.parquet"

    @property
    def bins(self) -> Path:
        """records.schemas.BINS, of tables, texts and tagged words."""
        return self.folder / "bins.parquet"

    @property
    def classes(self) -> Path:
        """records.schemas.CLASSES, of texts and words."""
        return self.folder / "classes.parquet"

    @property
    def confusions(self) -> Path:
        """records.schemas.CONFUSIONS, of texts and words."""
        return self.folder / "confusions.parquet"

    @property
    def images(self) -> Path:
        """records.schemas.IMAGES, of images."""
        return self.folder / "images.parquet"

    @property
    def attention(self) -> Path:
        """records.schemas.ATTENTION, where the experiment asks to look inside."""
        return self.folder / "attention.parquet"

    @property
    def edges(self) -> Path:
        """records.schemas.EDGES beside it."""
        return self.folder / "edges.parquet"

    @property
    def recalibration(self) -> Path:
        """records.recalibration.RecalibrationCard, where the experiment asks for recalibrations."""
        return self.folder / "recalibration.json"


@dataclass(frozen=True)
class Aggregated:
    """Files that aggregate leaves."""

    folder: Path

    @property
    def table(self) -> Path:
        """records.schemas.TABLE."""
        return self.folder / "table.parquet"

    @property
    def contrasts(self) -> Path:
        """records.schemas.CONTRASTS."""
        return self.folder / "contrasts.parquet"

    @property
    def across(self) -> Path:
        """records.schemas.ACROSS."""
        return self.folder / "across.parquet"

    @property
    def ranks(self) -> Path:
        """records.schemas.RANKS."""
        return self.folder / "ranks.parquet"

    @property
    def iqm(self) -> Path:
        """records.schemas.IQM."""
        return self.folder / "iqm.parquet"

    @property
    def profiles(self) -> Path:
        """records.schemas.PROFILES."""
        return self.folder / "profiles.parquet"

    @property
    def sensitivity(self) -> Path:
        """records.schemas.SENSITIVITY."""
        return self.folder / "sensitivity.parquet"

    @property
    def response(self) -> Path:
        """records.schemas.RESPONSE."""
        return self.folder / "response.parquet"

    @property
    def laws(self) -> Path:
        """records.schemas.LAWS."""
        return self.folder / "laws.parquet"

    @property
    def sizes(self) -> Path:
        """records.schemas.SIZES."""
        return self.folder / "sizes.parquet"

    @property
    def isoflop(self) -> Path:
        """records.schemas.ISOFLOP."""
        return self.folder / "isoflop.parquet"

    @property
    def performance(self) -> Path:
        """records.schemas.PERFORMANCE."""
        return self.folder / "performance.parquet"

    @property
    def where(self) -> Path:
        """records.schemas.WHERE."""
        return self.folder / "where.parquet"

    @property
    def failures(self) -> Path:
        """records.schemas.FAILURES."""
        return self.folder / "failures.parquet"


@dataclass(frozen=True)
class Reported:
    """Files that report leaves."""

    folder: Path

    @property
    def page(self) -> Path:
        """One self-contained HTML file."""
        return self.folder / "report.html"


def data_folder(data: Path, experiment: Experiment, split: int) -> Path:
    """The prepared data of one split inside the `data` folder of a run: shared by all variants with the same task."""
    task = experiment.task
    return data / f"{task.source.dataset}-{digest(task.model_dump(mode='json'))}" / f"split-{split}"


def cell_folder(root: Path, seed: int, split: int) -> Path:
    """The folder of one (seed, split) inside a variant's `model` or `evaluation` folder."""
    return root / cell_name(seed, split)


def cell_name(seed: int, split: int) -> str:
    """Name of the folder of one (seed, split)."""
    return f"seed-{seed}-split-{split}"


FAILURE = "failed.json"
"""Name of the file that a cell has in place of a result."""


def failure_file(cell: Path) -> Path:
    """records.failure.FailureCard, in the folder of a cell whose training or evaluation failed."""
    return cell / FAILURE


def cell_folders(roots: Iterable[Path]) -> list[Path]:
    """The cells' folders in the folders of variants, sorted; ValueError when one has none."""
    found: set[Path] = set()
    for root in roots:
        inside = {path for path in root.glob("seed-*-split-*") if path.is_dir()}
        if not inside:
            raise ValueError(f"{root}: has no seed-*-split-* folder; give the folder of a variant")
        found |= inside
    return sorted(found)


def checkpoint_folder(out: Path) -> Path:
    """Folder of the checkpoints of an unfinished training run: beside its output, so that they outlive a kill."""
    return out.with_name(f".{out.name}.checkpoint")
