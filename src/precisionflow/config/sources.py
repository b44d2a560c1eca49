"""Sources: where data come from, tables and texts."""

from abc import ABC, abstractmethod
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from precisionflow.config.base import NUMBER, Config, Seed


def _named(path: str) -> str:
    """A data set is called after the last part of its path."""
    if PurePosixPath(path).name in ("", "..") or "\0" in path:
        raise ValueError("should end in the name of a file or folder")
    return path


_REMEDIES = dict.fromkeys(
    (".gz", ".bz2", ".xz", ".zst", ".zip"), "; decompress it and give the file that was in it"
) | dict.fromkeys((".xlsx", ".xls", ".ods"), "; save the table as CSV, UTF-8")
"""What to do about a file of another kind."""
TINY_SHAKESPEARE = "tinyshakespeare/input.txt"
"""Where tiny Shakespeare lies in the folder that PRECISIONFLOW_DATA names."""
NamedPath = Annotated[str, AfterValidator(_named)]


class Source(Config, ABC):
    """What every source says of itself."""

    @property
    @abstractmethod
    def dataset(self) -> str:
        """Name of the data set in tables and reports."""

    @property
    @abstractmethod
    def files(self) -> tuple[str, ...]:
        """Files and folders of the user's that it reads, as it names them: what pods need in their workspace."""


class ScikitLearnTable(Source):
    """A regression set that scikit-learn ships; split k is a random 90/10 partition drawn with seed k."""

    kind: Literal["scikit_learn"] = "scikit_learn"
    name: Literal["diabetes", "linnerud"] = "diabetes"

    @property
    def dataset(self) -> str:
        return self.name

    @property
    def files(self) -> tuple[str, ...]:
        return ()


class HeteroscedasticSine(Source):
    """A toy with known noise, y = x sin x + 0.3 e1 + 0.3 x e2; split k is a random 90/10 partition, seed k."""

    kind: Literal["heteroscedastic_sine"] = "heteroscedastic_sine"
    rows: Annotated[int, Field(ge=10), NUMBER] = 500
    seed: Seed = 0
    """Of the draw of the rows themselves, the same for all splits."""

    @property
    def dataset(self) -> str:
        return self.kind

    @property
    def files(self) -> tuple[str, ...]:
        return ()


class UciFolder(Source):
    """The standard UCI form: `data.txt`, `index_{features,target}.txt`, `index_{train,test}_<k>.txt`."""

    kind: Literal["uci_folder"] = "uci_folder"
    path: NamedPath
    """Absolute, or relative to the experiment's file or to the folder that PRECISIONFLOW_DATA names."""

    @property
    def dataset(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def files(self) -> tuple[str, ...]:
        return (self.path,)


class TableFile(Source):
    """A CSV, TSV or Parquet file with named columns; split k is a random 90/10 partition drawn with seed k."""

    kind: Literal["table_file"] = "table_file"
    path: NamedPath
    """`.csv`, `.tsv` or `.parquet`; absolute, or relative to the experiment's file or to the folder that
    PRECISIONFLOW_DATA names."""
    target: str
    """Column to predict."""
    features: tuple[str, ...] | None = None
    """Columns to predict it from; none: all others."""

    @model_validator(mode="after")
    def _names_columns(self) -> Self:
        suffix = PurePosixPath(self.path).suffix.lower()
        if suffix not in (".csv", ".tsv", ".parquet"):
            remedy = _REMEDIES.get(suffix, "")
            raise ValueError(f"path {self.path!r} should end in .csv, .tsv or .parquet{remedy}")
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

    @property
    def files(self) -> tuple[str, ...]:
        return (self.path,)


class ScikitLearnText(Source):
    """English text of scikit-learn: its descriptions of data sets, and docstrings of three of its parts."""

    kind: Literal["scikit_learn_text"] = "scikit_learn_text"

    @property
    def dataset(self) -> str:
        return self.kind

    @property
    def files(self) -> tuple[str, ...]:
        return ()


class TextFile(Source):
    """Any UTF-8 text file."""

    kind: Literal["text_file"] = "text_file"
    path: NamedPath
    """Absolute, or relative to the experiment's file or to the folder that PRECISIONFLOW_DATA names."""

    @property
    def dataset(self) -> str:
        return PurePosixPath(self.path).stem

    @property
    def files(self) -> tuple[str, ...]:
        return (self.path,)


class TinyShakespeare(Source):
    """`tinyshakespeare/input.txt` in the folder that PRECISIONFLOW_DATA names."""

    kind: Literal["tiny_shakespeare"] = "tiny_shakespeare"

    @property
    def dataset(self) -> str:
        return self.kind

    @property
    def files(self) -> tuple[str, ...]:
        return (TINY_SHAKESPEARE,)


TableSource = Annotated[
    ScikitLearnTable | HeteroscedasticSine | UciFolder | TableFile, Field(discriminator="kind")
]
TextSource = Annotated[ScikitLearnText | TextFile | TinyShakespeare, Field(discriminator="kind")]
