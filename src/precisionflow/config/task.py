"""What is learned and from which data: `regression` on tables, `characters` on text."""

from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from precisionflow.config.base import NUMBER, Count, Fraction, Part, Seed


def _named(path: str) -> str:
    """A data set is called after the last part of its path."""
    if PurePosixPath(path).name in ("", "..") or "\0" in path:
        raise ValueError("should end in the name of a file or folder")
    return path


NamedPath = Annotated[str, AfterValidator(_named)]


class ScikitLearnTable(Part):
    """A regression set that scikit-learn ships; split k is a random 90/10 partition drawn with seed k."""

    kind: Literal["scikit_learn"] = "scikit_learn"
    name: Literal["diabetes", "linnerud"] = "diabetes"

    @property
    def dataset(self) -> str:
        return self.name


class HeteroscedasticSine(Part):
    """A toy with known noise, y = x sin x + 0.3 e1 + 0.3 x e2; split k is a random 90/10 partition, seed k."""

    kind: Literal["heteroscedastic_sine"] = "heteroscedastic_sine"
    rows: Annotated[int, Field(ge=10), NUMBER] = 500
    seed: Seed = 0
    """Of the draw of the rows themselves, the same for all splits."""

    @property
    def dataset(self) -> str:
        return self.kind


class UciFolder(Part):
    """The standard UCI form: `data.txt`, `index_{features,target}.txt`, `index_{train,test}_<k>.txt`."""

    kind: Literal["uci_folder"] = "uci_folder"
    path: NamedPath
    """Absolute, or relative to the folder that PRECISIONFLOW_DATA names."""

    @property
    def dataset(self) -> str:
        return PurePosixPath(self.path).name


class TableFile(Part):
    """A CSV or Parquet file with named columns; split k is a random 90/10 partition drawn with seed k."""

    kind: Literal["table_file"] = "table_file"
    path: NamedPath
    """`.csv` or `.parquet`; absolute, or relative to the folder that PRECISIONFLOW_DATA names."""
    target: str
    """Column to predict."""
    features: tuple[str, ...] | None = None
    """Columns to predict it from; none: all others."""

    @model_validator(mode="after")
    def _names_columns(self) -> Self:
        if PurePosixPath(self.path).suffix not in (".csv", ".parquet"):
            raise ValueError(f"path {self.path!r} should end in .csv or .parquet")
        if self.features is not None:
            if not self.features:
                raise ValueError("features names no column; name one, or leave it out for all but the target")
            for index, name in enumerate(self.features):
                if name == self.target:
                    raise ValueError(f"features names the target {name!r}; leave it out")
                if name in self.features[:index]:
                    raise ValueError(f"features names {name!r} twice; name it once")
        return self

    @property
    def dataset(self) -> str:
        return PurePosixPath(self.path).stem


class PydocTopics(Part):
    """The English text of Python's own `pydoc_data.topics`: part of every Python installation."""

    kind: Literal["pydoc_topics"] = "pydoc_topics"

    @property
    def dataset(self) -> str:
        return self.kind


class TextFile(Part):
    """Any UTF-8 text file."""

    kind: Literal["text_file"] = "text_file"
    path: NamedPath
    """Absolute, or relative to the folder that PRECISIONFLOW_DATA names."""

    @property
    def dataset(self) -> str:
        return PurePosixPath(self.path).stem


class TinyShakespeare(Part):
    """`tinyshakespeare/input.txt` in the folder that PRECISIONFLOW_DATA names."""

    kind: Literal["tiny_shakespeare"] = "tiny_shakespeare"

    @property
    def dataset(self) -> str:
        return self.kind


TableSource = Annotated[
    ScikitLearnTable | HeteroscedasticSine | UciFolder | TableFile, Field(discriminator="kind")
]


class Regression(Part):
    """Predict a number with its uncertainty from a row of numbers."""

    metrics: ClassVar = (
        "nll",
        "crps",
        "rmse",
        "pit_error",
        "rmsce",
        "ence",
        "ause",
        "sharpness",
        "validation_loss",
    )
    """What evaluation measures, beside coverage, width and score of every interval."""
    kind: Literal["regression"] = "regression"
    source: TableSource = ScikitLearnTable()
    validation_fraction: Fraction = 0.1
    """Share of the training rows that early stopping may look at; the test rows are never in it."""


class Characters(Part):
    """Predict the next character of a text."""

    metrics: ClassVar = (
        "nll",
        "bits_per_character",
        "ece",
        "ece_equal_mass",
        "mce",
        "class_wise_ece",
        "brier",
        "brier_reliability",
        "brier_resolution",
        "brier_uncertainty",
        "accuracy",
        "aurc",
        "validation_loss",
    )
    """What evaluation measures."""
    kind: Literal["characters"] = "characters"
    source: Annotated[PydocTopics | TextFile | TinyShakespeare, Field(discriminator="kind")] = PydocTopics()
    context: Count = 64
    """Characters that the model sees at once."""
    validation_fraction: Fraction = 0.05
    """Share of the text, by position after the training part."""
    test_fraction: Fraction = 0.05
    """Share of the text, by position at its end."""

    @model_validator(mode="after")
    def _leaves_training_text(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"task.validation_fraction + task.test_fraction is {self.validation_fraction + self.test_fraction:g}; "
                "keep it below 1, the rest is the training text"
            )
        return self


Task = Annotated[Regression | Characters, Field(discriminator="kind")]
