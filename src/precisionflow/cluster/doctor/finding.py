"""Findings: lines that say ok, or what is wrong and the command that mends it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One line of `precisionflow doctor`."""

    state: Literal["ok", "bad", "note"]
    """note: nothing that stops a run, or something that could not be looked at."""
    what: str
    """Thing that was looked at."""
    found: str
    mend: str | None = None
    """A command for a shell, complete."""

    def __str__(self) -> str:
        found = " ".join(self.found.split())
        return f"{self.state:<4} {self.what}: {found}" + (f"; mend: {self.mend}" if self.mend else "")


Findings = Iterator[Finding]


def ok(what: str, found: str) -> Finding:
    return Finding("ok", what, found)


def bad(what: str, found: str, mend: str | None = None) -> Finding:
    return Finding("bad", what, found, mend)


def note(what: str, found: str, mend: str | None = None) -> Finding:
    return Finding("note", what, found, mend)
