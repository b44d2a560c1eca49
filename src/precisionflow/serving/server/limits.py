"""Limits of a server: rows, bytes, seconds, connections."""

from dataclasses import dataclass

LONGEST = 86_400.0
"""Seconds that any of the times may be at most: clocks and timers take no infinite ones."""


@dataclass(frozen=True)
class Limits:
    """What is refused, and how long is waited; times in seconds. ValueError for a limit that lets nothing through."""

    rows: int = 10_000
    """Most rows of a request, and of a batch."""
    waiting: int = 20_000
    """Most rows that are accepted and not answered yet; above it the answer is 503."""
    fill: float = 0.0
    """Longest wait of a batch for more rows while the worker is free."""
    deadline: float = 10.0
    """Longest time of a request in the queue where it says none."""
    body: int = 16 << 20
    """Most bytes of a request's body."""
    receive: float = 10.0
    """Longest time for the headers of a request, for its body, and for its client to take the answer."""
    connections: int = 1000
    """Most open connections that questions are taken from; `server.process.SPARE` more are asked for health alone."""
    drain: float = 0.0
    """Time after SIGTERM in which requests are still accepted, on connections that close behind their answer."""

    def __post_init__(self) -> None:
        for name in ("rows", "waiting", "body", "connections"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: given {getattr(self, name)}; give a number above 0")
        for name in ("deadline", "receive"):
            if not 0 < getattr(self, name) <= LONGEST:
                raise ValueError(
                    f"{name}: given {getattr(self, name):g}; give seconds above 0, {LONGEST:g} at most"
                )
        for name in ("fill", "drain"):
            if not 0 <= getattr(self, name) <= LONGEST:
                raise ValueError(f"{name}: given {getattr(self, name):g}; give 0 to {LONGEST:g} seconds")
        if self.waiting < self.rows:
            raise ValueError(
                f"waiting: given {self.waiting}, fewer than the {self.rows} rows of one request; give as many or more"
            )
