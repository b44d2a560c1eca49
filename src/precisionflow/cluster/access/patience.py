"""Patience: how long a silent API, a shortage or a slow removal is borne."""

import time
from collections.abc import Callable
from typing import TypeVar

from precisionflow.cluster.access.errors import ClusterError

PATIENCE = 600.0
"""Seconds that pods may lack a node, an image or quota, and that the API may not answer, unless said otherwise."""
PAUSE_SECONDS = 0.5
"""Pause between two looks at what is being removed."""
Answer = TypeVar("Answer")


class Patience:
    """A span of time that begins anew whenever things move."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.since = time.monotonic()

    def renew(self) -> None:
        """Begin the span anew."""
        self.since = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether the span has passed."""
        return time.monotonic() - self.since > self.seconds

    def ask(self, question: Callable[[], Answer]) -> Answer | None:
        """The answer, which renews patience; none where it is a ClusterError, which is raised once patience is over."""
        try:
            answer = question()
        except ClusterError:
            if self.over:
                raise
            return None
        self.renew()
        return answer


class Shortage:
    """What pods lack from look to look, and for how long they have lacked something."""

    def __init__(self, seconds: float) -> None:
        self.lack: str | None = None
        self.patience = Patience(seconds)

    def follow(self, lack: str | None) -> str | None:
        """Note what is lacking at this look; what was lacking at the look before."""
        before, self.lack = self.lack, lack
        if lack is None or before is None:
            self.patience.renew()
        return before

    @property
    def unbearable(self) -> bool:
        """Whether something has been lacking for too long."""
        return self.lack is not None and self.patience.over


def came_true(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until a condition holds; whether it did within that time."""
    patience = Patience(seconds)
    while not condition():
        if patience.over:
            return False
        time.sleep(PAUSE_SECONDS)
    return True
