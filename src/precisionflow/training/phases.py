"""Phases of an optimiser step: who asks gets the seconds of each, of every layer and of communication; else they cost
nothing."""

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Literal

import torch
from torch import nn

Phase = Literal["forward", "settling", "backward", "optimiser"]
WARM_UP = 2
"""Steps of a process before those that are timed: they allocate and compile."""
PREFIX = "profile/"
"""Beginning of the names in the history."""


class Stopwatch:
    """Seconds of each phase alone, without those inside it, and of each layer's forward calls, over several steps."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self._inside = ["other"]
        self._since = 0.0

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """A step: what is no phase counts as other."""
        token = _watch.set(self)
        self._since = self.now()
        try:
            yield
        finally:
            self._switch()
            _watch.reset(token)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A phase of the step."""
        self._switch()
        self._inside.append(name)
        try:
            yield
        finally:
            self._switch()
            self._inside.pop()

    def add(self, name: str, seconds: float) -> None:
        """Seconds of something that has no part in the phases."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def now(self) -> float:
        """The time when the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _switch(self) -> None:
        now = self.now()
        self.add(self._inside[-1], now - self._since)
        self._since = now


_watch: ContextVar[Stopwatch | None] = ContextVar("watch", default=None)


@contextlib.contextmanager
def phase(name: Phase) -> Iterator[None]:
    """The block is a phase of the step that is timed, if one is."""
    watch = _watch.get()
    if watch is None:
        yield
    else:
        with watch.phase(name):
            yield


class Profile:
    """Times so many steps of a process, after the first ones."""

    def __init__(self, steps: int | None, *, device: torch.device, network: Callable[[], nn.Module]) -> None:
        """`network` gives the module whose `layers` and `readout` are timed, where it has them."""
        self.first, self.last = WARM_UP, WARM_UP + (steps or 0)
        self.taken = 0
        self.device = device
        self.network = network
        self.watch = Stopwatch(device)
        self.found: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """The block is the next step; of several ranks one more is traced for their communication."""
        timed = self.first <= self.taken < self.last
        if timed:
            if self.taken == self.first and self.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(self.device)
            with self.watch.step(), _layers_timed(self.network(), self.watch):
                yield
        elif self.taken == self.last > self.first and _several_ranks():
            with _collectives_timed(self.found):
                yield
        else:
            yield
        self.taken += 1
        if timed and self.taken == self.last:
            count = self.last - self.first
            self.found |= {f"{PREFIX}{name}": of / count for name, of in self.watch.seconds.items()}
            self.found[f"{PREFIX}peak_bytes"] = float(peak_bytes(self.device))

    def take(self) -> dict[str, float]:
        """What was found since it was last asked: seconds of a step, by phase and layer, and the peak of memory."""
        found, self.found = self.found, {}
        return found


def _several_ranks() -> bool:
    return torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1


def peak_bytes(device: torch.device) -> int:
    """Most memory so far: of a GPU what tensors held since the first timed step, else what the process held ever."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest * (1 if sys.platform == "darwin" else 1024)


@contextlib.contextmanager
def _layers_timed(network: nn.Module, watch: Stopwatch) -> Iterator[None]:
    """Forward calls of each layer and of the readout, those of settling too; compiled ones take no hooks."""
    every = [*getattr(network, "layers", ()), *filter(None, [getattr(network, "readout", None)])]
    layers = [layer for layer in every if layer._compiled_call_impl is None]
    begun: dict[int, float] = {}
    hooks = []
    for index, layer in enumerate(layers):
        name = f"layer-{index}-{type(layer).__name__}"

        def before(_module: nn.Module, _given: Any, *, of: int = index) -> None:
            begun[of] = watch.now()

        def after(
            _module: nn.Module, _given: Any, _output: Any, *, of: int = index, named: str = name
        ) -> None:
            watch.add(named, watch.now() - begun[of])

        hooks += [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def _collectives_timed(found: dict[str, float]) -> Iterator[None]:
    """Seconds that the collectives of a step took, as torch traces them; they run beside and inside the phases."""
    with torch.profiler.profile() as traced:
        yield
    events = [event for event in traced.key_averages() if event.key.startswith(("gloo:", "nccl:"))]
    microseconds = sum(max(event.cpu_time_total, event.device_time_total) for event in events)
    found[f"{PREFIX}communication"] = microseconds / 1e6
