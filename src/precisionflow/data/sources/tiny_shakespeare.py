"""Tiny Shakespeare, the published file."""

from precisionflow.config.sources import TINY_SHAKESPEARE
from precisionflow.data.sources.text_file import text_of
from precisionflow.data.text import Text
from precisionflow.records.raw import raw_path

PUBLISHED = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
"""sha256 of the published file: 1,115,394 characters, 65 symbols."""


def open_tiny_shakespeare() -> Text:
    """`tinyshakespeare/input.txt` of the raw data; ValueError where it is not the published file."""
    text = text_of(raw_path(TINY_SHAKESPEARE))
    if text.sha256 != PUBLISHED:
        raise ValueError(
            f"{text.origin}: is not the published tiny Shakespeare (its sha256 begins with "
            f"{text.sha256[:12]}, not {PUBLISHED[:12]}); fetch it again or use kind text_file"
        )
    return text
