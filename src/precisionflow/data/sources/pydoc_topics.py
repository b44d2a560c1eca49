"""The English text of Python's own help topics."""

import hashlib
from collections.abc import Iterator

from precisionflow.data.text import CHUNK, Text


def open_pydoc_topics() -> Text:
    """The topics' texts in the order of their names, with a line break between them."""
    from pydoc_data.topics import topics

    whole = "\n".join(topics[name] for name in sorted(topics))

    def chunks() -> Iterator[str]:
        return (whole[start : start + CHUNK] for start in range(0, len(whole), CHUNK))

    return Text("pydoc_data.topics", hashlib.sha256(whole.encode()).hexdigest(), chunks)
