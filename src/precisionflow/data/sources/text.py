"""Texts: Python's own topics, a file, tiny Shakespeare."""

import codecs
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import assert_never

from precisionflow.config.sources import PydocTopics, TextFile, TinyShakespeare
from precisionflow.data.sources.raw import file_sha256, raw_path

CHUNK = 1 << 20
"""Most bytes of a file, or characters of a string, that are in memory at once."""
TINY_SHAKESPEARE = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
"""sha256 of the published file: 1,115,394 characters, 65 symbols."""


@dataclass(frozen=True)
class Text:
    """A source of characters that can be read any number of times."""

    origin: str
    """What the source is called in messages."""
    sha256: str
    chunks: Callable[[], Iterator[str]]


def open_text(source: PydocTopics | TextFile | TinyShakespeare) -> Text:
    """The text that `source` names; ValueError when its file cannot be read or is not the published one."""
    match source:
        case PydocTopics():
            return _pydoc_topics()
        case TextFile(path=path):
            return _file(raw_path(path))
        case TinyShakespeare():
            text = _file(raw_path("tinyshakespeare/input.txt"))
            if text.sha256 != TINY_SHAKESPEARE:
                raise ValueError(
                    f"{text.origin}: is not the published tiny Shakespeare (its sha256 begins with "
                    f"{text.sha256[:12]}, not {TINY_SHAKESPEARE[:12]}); fetch it again or use kind text_file"
                )
            return text
        case _:
            assert_never(source)


def _pydoc_topics() -> Text:
    """The topics' texts in the order of their names, with a line break between them."""
    from pydoc_data.topics import topics

    whole = "\n".join(topics[name] for name in sorted(topics))

    def chunks() -> Iterator[str]:
        return (whole[start : start + CHUNK] for start in range(0, len(whole), CHUNK))

    return Text("pydoc_data.topics", hashlib.sha256(whole.encode()).hexdigest(), chunks)


def _file(path: Path) -> Text:
    return Text(str(path), file_sha256(path), partial(_decoded, path))


def _decoded(path: Path) -> Iterator[str]:
    """The characters of a UTF-8 file, line breaks as they are; ValueError names a byte that is not."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    with path.open("rb") as file:
        while True:
            data = file.read(CHUNK)
            kept = len(decoder.getstate()[0])
            try:
                yield decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path}: byte {offset - kept + error.start} is not UTF-8; save the text as UTF-8"
                ) from None
            if not data:
                return
            offset += len(data)
