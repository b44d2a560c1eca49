"""What the beginning of a file says of its bytes: another kind of file than text, or text in which encoding."""

import codecs
import unicodedata
from pathlib import Path

from precisionflow.data.readers.compressed import is_compressed, opened, readable

LOOKED_AT = 1 << 16
"""Bytes at the beginning of a file that say what it is."""
_OTHERS = {
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ\x00": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"PAR1": "a Parquet file",
}
"""First bytes of what is no text."""
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32", "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32", "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16-be"),
)
"""(byte order mark, encoding that takes it away, encoding that reads it as a character); that of UTF-32 begins with
that of UTF-16."""
_MOST = 0.9
"""Share of the bytes of one order that are 0."""
_SPARSE = 200
"""Most characters of a text for each that is of ASCII."""


def beginning(path: Path) -> tuple[bytes, bool]:
    """(first bytes of a file, decompressed, whether gzip compressed it); ValueError for what cannot be read."""
    compressed = is_compressed(path)
    with readable(path), opened(path) as file:
        return file.read(LOOKED_AT), compressed


def other_kind(begun: bytes) -> str | None:
    """What a file is that holds no text."""
    return next((kind for first, kind in _OTHERS.items() if begun.startswith(first)), None)


def encoding_of(begun: bytes, stated: str | None = None) -> str:
    """The stated encoding, without a mark that it would read as a character; else what a mark or the bytes say.

    UTF-8 where nothing else is said.
    """
    for mark, without, as_character in _MARKS:
        if begun.startswith(mark) and stated in (None, as_character):
            return without
    return stated or _by_zeros(begun) or _by_characters(begun) or "utf-8"


def _by_zeros(begun: bytes) -> str | None:
    """UTF-16 or UTF-32 where the bytes that are 0 in it, and these alone, are 0 in most characters."""
    pieces = [begun[place : len(begun) - len(begun) % 4 : 4] for place in range(4)]
    zeros = [piece.count(0) / len(piece) if piece else 0.0 for piece in pieces]
    for encoding, empty, filled in (
        ("utf-32-le", (2, 3), (0,)),
        ("utf-32-be", (0, 1), (3,)),
        ("utf-16-le", (1, 3), (0, 2)),
        ("utf-16-be", (0, 2), (1, 3)),
    ):
        if all(zeros[place] > _MOST for place in empty) and not any(zeros[place] for place in filled):
            return encoding
    return None


def _by_characters(begun: bytes) -> str | None:
    """UTF-16 or UTF-32 where the bytes are letters and marks in one of them, with blanks or line breaks among these.

    None for a text of one byte a character in which some bytes are 0, and where both orders of the bytes make sense.
    """
    if 0 not in begun or _is_plain(begun):
        return None
    for encodings in (("utf-32-le", "utf-32-be"), ("utf-16-le", "utf-16-be")):
        fitting = [encoding for encoding in encodings if _is_text(begun, encoding)]
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
    return None


def _is_plain(begun: bytes) -> bool:
    """Whether bytes without those that are 0 are UTF-8 of no control characters, up to a tenth that is damaged."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(begun.replace(b"\0", b""))
    return 10 * text.count("\ufffd") <= len(text) and not _strange(text)


def _is_text(begun: bytes, encoding: str) -> bool:
    """Whether bytes are known characters in an encoding, with a blank or a break, one in `_SPARSE` of ASCII."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(begun)
    except UnicodeDecodeError:
        return False
    ascii_ = sum(character.isascii() for character in text)
    broken = any(map(text.__contains__, " \t\r\n"))
    return broken and _SPARSE * ascii_ >= len(text) and not _strange(text)


def _strange(text: str) -> bool:
    """Whether a character is a control, of private use or none that is known."""
    return any(
        unicodedata.category(character) in ("Cc", "Cn", "Co", "Cs") for character in set(text) - {*"\t\r\n\f"}
    )


def refuse_nul(path: Path, begun: bytes) -> None:
    """ValueError for a byte that no text holds but in an encoding of two or four bytes a character."""
    if b"\0" in begun:
        raise ValueError(
            f"{path}: byte {begun.index(0)} is NUL, which no text holds; write the file again, or state its encoding "
            "where a character has two bytes or four, such as utf-16-le"
        )
