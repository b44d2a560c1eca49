"""Sources: where data come from, tables and texts."""

from abc import ABC, abstractmethod
from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from precisionflow.config.base import NUMBER, Config, Count, Fraction, Label, NonNegative, Seed
from precisionflow.config.tables import (
    CategoryColumn,
    Column,
    Encoding,
    FileForm,
    Missing,
    RandomSplit,
    TableSplit,
)


def _named(path: str) -> str:
    """A data set is called after the last part of its path."""
    if PurePosixPath(path).name in ("", "..") or "\0" in path:
        raise ValueError("should end in the name of a file or folder")
    return path


SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")
"""How the name of a table file ends; one of text may have .gz behind it."""
_REMEDIES = dict.fromkeys(
    (".bz2", ".xz", ".zst", ".zip", ".7z"), "; decompress it and give the file that was in it"
) | dict.fromkeys((".xlsx", ".xls", ".ods"), "; save the table as CSV, UTF-8")
"""What to do about a file of another kind."""
TINY_SHAKESPEARE = "tinyshakespeare/input.txt"
"""Where tiny Shakespeare lies in the folder that PRECISIONFLOW_DATA names."""
NamedPath = Annotated[str, AfterValidator(_named)]


class Source(Config, ABC):
    """What every source says of itself."""

    known: ClassVar[bool] = False
    """Whether the distribution of a row's target is known exactly."""

    @property
    @abstractmethod
    def dataset(self) -> str:
        """Name of the data set in tables and reports."""

    @property
    def row_tokens(self) -> int:
        """Tokens that a row is the sequence of, each as many features; 1: a row is no sequence."""
        return 1

    @property
    def causes(self) -> int:
        """Tokens of a row that are known to tell the target."""
        return 0

    @property
    def files(self) -> tuple[str, ...]:
        """Files and folders of the user's that it reads, as it names them: what pods need in their workspace."""
        return ()


class ScikitLearnTable(Source):
    """A regression set that scikit-learn ships; split k is a random 90/10 partition drawn with seed k."""

    kind: Literal["scikit_learn"] = "scikit_learn"
    name: Literal["diabetes", "linnerud"] = "diabetes"

    @property
    def dataset(self) -> str:
        return self.name


class ScikitLearnClasses(Source):
    """A classification set that scikit-learn ships; split k is a random 90/10 partition drawn with seed k."""

    kind: Literal["scikit_learn_classes"] = "scikit_learn_classes"
    name: Literal["iris", "wine", "breast_cancer", "digits"] = "wine"

    @property
    def dataset(self) -> str:
        return self.name


class HeteroscedasticSine(Source):
    """A toy with known noise, y = x sin x + 0.3 e1 + 0.3 x e2; split k is a random 90/10 partition, seed k."""

    kind: Literal["heteroscedastic_sine"] = "heteroscedastic_sine"
    rows: Annotated[int, Field(ge=10), NUMBER] = 500
    seed: Seed = 0
    """Of the draw of the rows themselves, the same for all splits."""

    @property
    def dataset(self) -> str:
        return self.kind


class Sensors(Source):
    """Several noisy readings of one number at each of `length` steps; the target is the number at the last one.

    Reading k is the number plus noise whose standard deviation the context of the step decides; numbers of different
    steps have nothing to do with each other. Split k is a random 90/10 partition, seed k.
    """

    known: ClassVar = True
    kind: Literal["sensors"] = "sensors"
    rows: Annotated[int, Field(ge=10), NUMBER] = 10_000
    sensors: Annotated[int, Field(ge=2), NUMBER] = 3
    contexts: Count = 3
    spread: NonNegative = 1.0
    """Standard deviation, over sensors and contexts, of the logarithm of the noise's standard deviation."""
    length: Count = 1
    persistence: Annotated[float, Field(ge=0, le=1), NUMBER] = 0.0
    """Probability that a step has the context of the step before; else it is drawn, all alike."""
    shown: Annotated[float, Field(ge=0, le=1), NUMBER] = 1.0
    """Share of the steps whose context stands among the features; the others have 0 there."""
    seed: Seed = 0
    """Of the noises and of the draw of the rows, the same for all splits."""

    @property
    def dataset(self) -> str:
        hidden = "" if self.shown == 1 else f"_shown_{self.shown:g}"
        return (
            f"{self.kind}{hidden}_persistence_{self.persistence:g}"
            if self.persistence
            else self.kind + hidden
        )


class NodeChain(Source):
    """A row of vectors, one at each node; the last two or three nodes of a chain stand among noise.

    x1 = W x0 + noise, x2 = W x1 + noise with one W of low rank; the last node of a row is x2, the target a linear
    function of x0 + x1, or of x1 alone, which x2 does not tell (Singh & Buckley 2023, sections 5.1 and 5.2). Split k is
    a random 90/10 partition, seed k.
    """

    kind: Literal["node_chain"] = "node_chain"
    rows: Annotated[int, Field(ge=10), NUMBER] = 10_000
    nodes: Annotated[int, Field(ge=3), NUMBER] = 8
    channels: Count = 8
    rank: Count = 4
    """Of W, at most `channels`."""
    noise: Annotated[float, Field(ge=0, lt=1), NUMBER] = 0.5
    """Standard deviation of the noise of each channel, that of all nodes being 1."""
    history: Literal[1, 2] = 2
    """Nodes that the target is a function of: x1, or x0 and x1."""
    geometric: Fraction | None = None
    """p of the distance from x1 to x2, p (1 - p)^(distance - 1), cut at the row's beginning; none: every place is as
    likely as any other."""
    seed: Seed = 0
    """Of W and of the draw of the rows, the same for all splits."""

    @property
    def dataset(self) -> str:
        near = "" if self.geometric is None else f"_geometric_{self.geometric:g}"
        return f"{self.kind}_{self.nodes}x{self.channels}_noise_{self.noise:g}{near}"

    @property
    def row_tokens(self) -> int:
        return self.nodes

    @property
    def causes(self) -> int:
        return self.history

    @model_validator(mode="after")
    def _rank_is_low(self) -> Self:
        if self.rank > self.channels:
            raise ValueError(
                f"task.source.rank {self.rank} is above task.source.channels {self.channels}; lower it"
            )
        return self


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
    """A file of delimited text, JSON lines or Parquet with named columns."""

    kind: Literal["table_file"] = "table_file"
    path: NamedPath
    """`.csv`, `.tsv`, `.txt`, `.jsonl`, `.ndjson`, these with `.gz`, or `.parquet`; absolute, or relative to the
    experiment's file or to the folder that PRECISIONFLOW_DATA names."""
    target: str
    """Column to predict."""
    features: tuple[str, ...] | None = None
    """Columns to predict it from; none: all others, but those that `split` and `weights` name."""
    valid: NamedPath | None = None
    """File of the validation part, in the same form; none: drawn from the rows of `path`."""
    test: NamedPath | None = None
    """File of the test part, in the same form; none: `split` says which rows of `path` are tested."""
    form: FileForm = FileForm()
    columns: dict[str, Column] = {}
    """Column -> what it holds; numbers where nothing is said."""
    missing: Missing = "refuse"
    """What becomes of an empty cell; of the target `median` is `refuse`."""
    split: TableSplit = RandomSplit()
    weights: str | None = None
    """Column with the weight of each row, 0 or more; none: every row counts alike."""

    @model_validator(mode="after")
    def _names_columns(self) -> Self:
        for field, path in (("path", self.path), ("valid", self.valid), ("test", self.test)):
            if path is not None and table_suffix(path) not in SUFFIXES:
                remedy = _REMEDIES.get(PurePosixPath(path).suffix.lower(), "")
                raise ValueError(f"task.source.{field} {path!r} should end in {', '.join(SUFFIXES)}{remedy}")
        if self.features is not None:
            if not self.features:
                raise ValueError(
                    "task.source.features names no column; name one, or leave it out for all but the target"
                )
            for index, name in enumerate(self.features):
                if name == self.target:
                    raise ValueError(f"task.source.features names the target {name!r}; leave it out")
                if name in self.features[:index]:
                    raise ValueError(f"task.source.features names {name!r} twice; name it once")
        if self.test is not None and self.split != RandomSplit():
            raise ValueError(
                "task.source.split cuts the rows of path, but task.source.test is a file of its own; "
                "leave one of them out"
            )
        if self.target in self.split.columns:
            raise ValueError(
                f"task.source.split.column names the target {self.target!r}; name another column"
            )
        if self.target == self.weights or self.weights in (self.features or ()):
            raise ValueError(
                f"task.source.weights names {self.weights!r}, which is the target or a feature; name another column"
            )
        for name, column in self.columns.items():
            _check_column(name, column)
        return self

    @property
    def weight_columns(self) -> tuple[str, ...]:
        """The column of weights, where there is one."""
        return () if self.weights is None else (self.weights,)

    @property
    def dataset(self) -> str:
        return _without_gz(self.path).stem

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(path for path in (self.path, self.valid, self.test) if path is not None)


class ConlluFile(Source):
    """Sentences in the CoNLL-U format of Universal Dependencies, every word with its tags."""

    kind: Literal["conllu"] = "conllu"
    path: NamedPath
    """Absolute, or relative to the experiment's file or to the folder that PRECISIONFLOW_DATA names."""
    valid: NamedPath | None = None
    """File of the validation part; none: drawn from the sentences of `path`."""
    test: NamedPath | None = None
    """File of the test part; none: split k draws a tenth of the sentences of `path` with seed k."""

    @property
    def dataset(self) -> str:
        return PurePosixPath(self.path).stem

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(path for path in (self.path, self.valid, self.test) if path is not None)


def _without_gz(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def table_suffix(name: str) -> str:
    """What the end of a file's name says of its form, without the .gz of a file of text; lower case."""
    path = PurePosixPath(name)
    inner = PurePosixPath(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else ""
    return inner if inner in SUFFIXES and inner != ".parquet" else path.suffix.lower()


def _check_column(name: str, column: Column) -> None:
    if not isinstance(column, CategoryColumn):
        return
    where = f"task.source.columns.{name}"
    if column.encoding == "one_hot" and column.order is not None:
        raise ValueError(f"{where}: order is of encoding ordinal; leave it out, or say encoding: ordinal")
    if column.encoding == "ordinal" and len(column.order or ()) < 2:
        raise ValueError(
            f"{where}: encoding ordinal needs order, all levels from the lowest; give two or more"
        )
    for index, level in enumerate(column.order or ()):
        if level in (column.order or ())[:index]:
            raise ValueError(f"{where}: order names {level!r} twice; name it once")


class ScikitLearnText(Source):
    """English text of scikit-learn: its descriptions of data sets, and docstrings of three of its parts."""

    kind: Literal["scikit_learn_text"] = "scikit_learn_text"

    @property
    def dataset(self) -> str:
        return self.kind


class TextFile(Source):
    """Any text file, UTF-8 or with a mark of the order of its bytes; gzip is undone."""

    kind: Literal["text_file"] = "text_file"
    path: NamedPath
    """Absolute, or relative to the experiment's file or to the folder that PRECISIONFLOW_DATA names."""
    valid: NamedPath | None = None
    """File of the validation part; none: it is cut from the end of `path`, but for the test part."""
    test: NamedPath | None = None
    """File of the test part; none: it is cut from the end of `path`."""
    encoding: Encoding | None = None
    """Name of the encoding of all files; none: UTF-8, or what a mark of the order of bytes says."""
    name: Label | None = None
    """Name of the data set; none: that of the file `path` without its suffix."""

    @property
    def dataset(self) -> str:
        return self.name or _without_gz(self.path).stem

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(path for path in (self.path, self.valid, self.test) if path is not None)


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
    ScikitLearnTable | HeteroscedasticSine | Sensors | NodeChain | UciFolder | TableFile,
    Field(discriminator="kind"),
]
ClassSource = Annotated[ScikitLearnClasses | TableFile, Field(discriminator="kind")]
TextSource = Annotated[ScikitLearnText | TextFile | TinyShakespeare, Field(discriminator="kind")]
