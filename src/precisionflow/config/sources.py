"""Sources: where data come from, tables and texts."""

from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from precisionflow.config.base import Label
from precisionflow.config.drawn_tables import HeteroscedasticSine, MovingTarget, NodeChain, Sensors
from precisionflow.config.source import Source
from precisionflow.config.tables import (
    CategoryColumn,
    Column,
    Encoding,
    FileForm,
    HeldSplit,
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


class ScikitLearnTable(Source):
    """A regression set that scikit-learn ships."""

    kind: Literal["scikit_learn"] = "scikit_learn"
    name: Literal["diabetes", "linnerud"] = "diabetes"
    split: HeldSplit = RandomSplit()

    @property
    def dataset(self) -> str:
        return self.name


class ScikitLearnClasses(Source):
    """A classification set that scikit-learn ships."""

    kind: Literal["scikit_learn_classes"] = "scikit_learn_classes"
    name: Literal["iris", "wine", "breast_cancer", "digits"] = "wine"
    split: HeldSplit = RandomSplit()

    @property
    def dataset(self) -> str:
        return self.name


class ScikitLearnImages(Source):
    """Images with a class that scikit-learn ships: 1,797 handwritten digits of 8 by 8 pixels."""

    shape: ClassVar = (8, 8)
    """Of each image."""
    labelled: ClassVar = True
    """Whether images have classes."""
    kind: Literal["scikit_learn_images"] = "scikit_learn_images"
    name: Literal["digits"] = "digits"
    split: RandomSplit = RandomSplit()

    @property
    def dataset(self) -> str:
        return self.name


class ImageFile(Source):
    """Images of one shape, with a class or without: a Parquet file with a row for each, or NumPy's `.npz` or `.npy`."""

    kind: Literal["image_file"] = "image_file"
    path: NamedPath
    """`.parquet`, `.npz`, or `.npy`, one array without classes; absolute, or relative to the experiment's file or to
    the folder that PRECISIONFLOW_DATA names."""
    images: str = "image"
    """Column of lists of numbers, nested or not, or of picture files; or array whose first axis counts the images."""
    target: str | None = "label"
    """Column or array of classes; none: images without."""
    split: RandomSplit = RandomSplit()

    @property
    def labelled(self) -> bool:
        """Whether images have classes."""
        return self.target is not None

    @model_validator(mode="after")
    def _is_read(self) -> Self:
        suffix = PurePosixPath(self.path).suffix.lower()
        if suffix not in (".parquet", ".npz", ".npy"):
            raise ValueError(f"task.source.path {self.path!r} should end in .parquet, .npz, .npy")
        if suffix == ".npy" and self.target is not None:
            raise ValueError(
                f"task.source.target names {self.target!r}, and a .npy file is one array without classes; "
                "set it to null"
            )
        if self.images == self.target:
            raise ValueError(
                f"task.source.target names {self.target!r}, the images; name the column or array of their classes"
            )
        return self

    @property
    def dataset(self) -> str:
        return PurePosixPath(self.path).stem

    @property
    def files(self) -> tuple[str, ...]:
        return (self.path,)


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
        return _without_gz(self.path).stem

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
    """Any text file; gzip is undone."""

    kind: Literal["text_file"] = "text_file"
    path: NamedPath
    """Absolute, or relative to the experiment's file or to the folder that PRECISIONFLOW_DATA names."""
    valid: NamedPath | None = None
    """File of the validation part; none: it is cut from the end of `path`, but for the test part."""
    test: NamedPath | None = None
    """File of the test part; none: it is cut from the end of `path`."""
    encoding: Encoding | None = None
    """Name of the encoding of all files; none: what a mark or the bytes at the beginning say, else UTF-8."""
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
    ScikitLearnTable | HeteroscedasticSine | Sensors | MovingTarget | NodeChain | UciFolder | TableFile,
    Field(discriminator="kind"),
]
ClassSource = Annotated[ScikitLearnClasses | TableFile, Field(discriminator="kind")]
ImageSource = Annotated[ScikitLearnImages | ImageFile, Field(discriminator="kind")]
TextSource = Annotated[ScikitLearnText | TextFile | TinyShakespeare, Field(discriminator="kind")]
