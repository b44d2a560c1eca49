"""The texts of a source."""

from typing import assert_never

from precisionflow.config.sources import ScikitLearnText, TextFile, TextSource, TinyShakespeare
from precisionflow.data.sources.scikit_learn_text import open_scikit_learn_text
from precisionflow.data.sources.text_file import open_text_files
from precisionflow.data.sources.tiny_shakespeare import open_tiny_shakespeare
from precisionflow.data.text import Texts


def open_texts(source: TextSource) -> Texts:
    """The texts; ValueError for a bad source."""
    match source:
        case ScikitLearnText():
            return Texts(open_scikit_learn_text())
        case TextFile():
            return open_text_files(source)
        case TinyShakespeare():
            return Texts(open_tiny_shakespeare())
        case _:
            assert_never(source)
