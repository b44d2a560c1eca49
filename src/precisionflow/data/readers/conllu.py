"""CoNLL-U files (universaldependencies.org/format.html): sentences of words with the labels of some columns."""

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn

from precisionflow.config.tasks.texts import Auxiliary
from precisionflow.data.readers.compressed import opened, readable
from precisionflow.data.readers.encodings import beginning, encoding_of
from precisionflow.data.readers.mistakes import shortened

FIELDS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
Column = Auxiliary
SUFFIX = ".conllu"
UNSPECIFIED = "_"
STATED = ("Confidence=", "Entropy=", "Epistemic=")
"""Attributes of MISC: the probability of a predicted tag, the entropy of all tags and its epistemic part in nats."""
Skipped = Literal["ranges", "empty nodes"]
_WORD, _RANGE, _EMPTY = (
    re.compile(r"[1-9]\d*"),
    re.compile(r"[1-9]\d*-[1-9]\d*"),
    re.compile(r"\d+\.[1-9]\d*"),
)
_DOCUMENT = re.compile(r"#\s*newdoc(\s.*)?")


class Sentence(NamedTuple):
    """The words of a sentence in order."""

    line: int
    """Where its first word stands, from 1."""
    document: int
    """Number of `# newdoc` lines up to it."""
    words: tuple[str, ...]
    labels: tuple[tuple[str | None, ...], ...]
    """Of every word, one of each column; None where it says `_`, which of FEATS means that there are none."""


def is_conllu(path: Path) -> bool:
    """Whether a file is called so, compressed or not."""
    return path.name.lower().removesuffix(".gz").endswith(SUFFIX)


def read_sentences(path: Path, columns: Sequence[Column], skipped: Counter[Skipped]) -> Iterator[Sentence]:
    """All sentences in order. Ranges of words (1-2) and empty nodes (8.1) are no words: counted in `skipped`.

    ValueError names the line and the field of what the format does not allow.
    """
    words: list[str] = []
    labels: list[tuple[str | None, ...]] = []
    begun: int | None = None
    first = number = document = 0
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip(" "):
            if begun is not None and not words:
                _refuse(path, begun, "a sentence without words; remove it, or write its words")
            if words:
                yield Sentence(first, document, tuple(words), tuple(labels))
            words, labels, begun = [], [], None
            continue
        begun = begun or number
        if line.startswith("#"):
            if words:
                _refuse(
                    path, number, "a comment inside a sentence; end the sentence before it with an empty line"
                )
            document += _DOCUMENT.fullmatch(line) is not None
            continue
        fields = _fields(path, number, line)
        if _RANGE.fullmatch(fields[0]):
            skipped["ranges"] += 1
        elif _EMPTY.fullmatch(fields[0]):
            skipped["empty nodes"] += 1
        else:
            _check_id(path, number, fields[0], expected=len(words) + 1)
            first = first if words else number
            words.append(fields[1])
            labels.append(tuple(_label(fields, column) for column in columns))
    if words:
        yield Sentence(first, document, tuple(words), tuple(labels))
    elif begun is not None:
        _refuse(path, begun, "a sentence without words; remove it, or write its words")


def with_tags(path: Path, column: Column, tags: Iterator[tuple[str, Sequence[float]]]) -> Iterator[str]:
    """The lines of a file that was read, each word with its tag in `column` and what is `STATED` of it in MISC."""
    place, misc = FIELDS.index(column.upper()), FIELDS.index("MISC")
    for line in _lines(path):
        fields = line.split("\t")
        if _WORD.fullmatch(fields[0]) and len(fields) == len(FIELDS):
            fields[place], stated = next(tags)
            kept = [
                said
                for said in fields[misc].split("|")
                if said != UNSPECIFIED and not said.startswith(STATED)
            ]
            numbers = [f"{name}{value:.4f}" for name, value in zip(STATED, stated, strict=True)]
            fields[misc] = "|".join([*kept, *numbers])
        yield "\t".join(fields) + "\n"


def _label(fields: Sequence[str], column: Column) -> str | None:
    """What a column says of a word: features all together, a relation without its subtype (nsubj of nsubj:pass)."""
    said = fields[FIELDS.index(column.upper())]
    if column == "feats":
        return said
    return None if said == UNSPECIFIED else said.partition(":")[0] if column == "deprel" else said


def _fields(path: Path, number: int, line: str) -> list[str]:
    fields = line.split("\t")
    if len(fields) != len(FIELDS):
        blanks = ", not by blanks" if len(line.split()) == len(FIELDS) else ""
        _refuse(
            path,
            number,
            f"{len(fields)} fields in {shortened(line)!r}; write the {len(FIELDS)} of CoNLL-U, {FIELDS[0]} to "
            f"{FIELDS[-1]}, between tabs{blanks}, and an empty line after each sentence",
        )
    for name, field in zip(FIELDS, fields, strict=True):
        if not field.strip():
            _refuse(path, number, f"field {name} is empty; write {UNSPECIFIED} where nothing is to be said")
    return fields


def _check_id(path: Path, number: int, given: str, *, expected: int) -> None:
    if not _WORD.fullmatch(given):
        _refuse(
            path, number, f"field ID is {given!r}; write a whole number, a range 1-2 or an empty node 8.1"
        )
    if int(given) != expected:
        _refuse(
            path,
            number,
            f"field ID is {given}, should be {expected}; number the words of a sentence from 1 and end it with an "
            "empty line",
        )


def _lines(path: Path) -> Iterator[str]:
    """Lines without their ends: line feeds, with a carriage return before or not, or carriage returns alone."""
    begun, _ = beginning(path)
    if (encoding := encoding_of(begun)) != "utf-8":
        raise ValueError(f"{path}: is {encoding.upper()}; save the file as UTF-8")
    end = "\n" if b"\n" in begun or b"\r" not in begun else "\r"
    with (
        readable(path),
        io.TextIOWrapper(opened(path), "utf-8-sig", "surrogateescape", newline=end) as file,
    ):
        for number, line in enumerate(file, start=1):
            if not line.isascii():
                _check_bytes(path, number, line)
            yield line.rstrip("\r\n")


def _check_bytes(path: Path, number: int, line: str) -> None:
    """ValueError for a byte that was no UTF-8."""
    try:
        line.encode()
    except UnicodeEncodeError as error:
        place = len(line[: error.start].encode()) + 1
        _refuse(path, number, f"byte {place} of the line is not UTF-8; save the file as UTF-8")


def _refuse(path: Path, number: int, fault: str) -> NoReturn:
    raise ValueError(f"{path}: line {number}: {fault}") from None
