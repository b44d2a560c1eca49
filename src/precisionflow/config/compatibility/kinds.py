"""Kinds of parts, as messages name them."""

from collections.abc import Iterable

from precisionflow.config.base import Config, kind_of


def kinds(parts: Iterable[type[Config]]) -> str:
    """Their names in a row."""
    return ", ".join(str(kind_of(part)) for part in parts)
