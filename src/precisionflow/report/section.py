"""A section of the page: its heading, its template and what the template shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Section:
    """One section of an experiment's article."""

    title: str
    template: str
    """File below the folder of this package; it extends section.html.jinja."""
    context: Mapping[str, Any]
    """Every name that the template reads."""
