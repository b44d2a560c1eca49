"""The text of a source."""

from typing import assert_never

from precisionflow.config.sources import PydocTopics, TextFile, TextSource, TinyShakespeare
from precisionflow.data.sources.pydoc_topics import open_pydoc_topics
from precisionflow.data.sources.text_file import open_text_file
from precisionflow.data.sources.tiny_shakespeare import open_tiny_shakespeare
from precisionflow.data.text import Text


def open_text(source: TextSource) -> Text:
    """The text; ValueError for a bad source."""
    match source:
        case PydocTopics():
            return open_pydoc_topics()
        case TextFile():
            return open_text_file(source)
        case TinyShakespeare():
            return open_tiny_shakespeare()
        case _:
            assert_never(source)
