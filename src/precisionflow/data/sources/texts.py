"""The text of a source."""

from typing import assert_never

from precisionflow.config.sources import ScikitLearnText, TextFile, TextSource, TinyShakespeare
from precisionflow.data.sources.scikit_learn_text import open_scikit_learn_text
from precisionflow.data.sources.text_file import open_text_file
from precisionflow.data.sources.tiny_shakespeare import open_tiny_shakespeare
from precisionflow.data.text import Text


def open_text(source: TextSource) -> Text:
    """The text; ValueError for a bad source."""
    match source:
        case ScikitLearnText():
            return open_scikit_learn_text()
        case TextFile():
            return open_text_file(source)
        case TinyShakespeare():
            return open_tiny_shakespeare()
        case _:
            assert_never(source)
