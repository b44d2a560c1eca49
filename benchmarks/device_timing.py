"""Time, memory and kernels of work on a GPU, by events of the device."""

import statistics
import time
from collections.abc import Callable

import torch

WARM, TURNS = 3, 20
SECONDS = 2.0
"""After these no more turns are timed."""
FEWEST = 3
KERNELS = 3

Work = Callable[[], object]


def milliseconds(work: Work) -> float:
    """Median of turns after some that do not count."""
    spent, until = list[float](), time.perf_counter() + SECONDS
    for turn in range(WARM + TURNS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
        if turn >= WARM:
            spent.append(start.elapsed_time(end))
        if len(spent) >= FEWEST and time.perf_counter() > until:
            break
    return statistics.median(spent)


def peak(work: Work) -> float:
    """MiB of the device that work adds to what is held before it."""
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def kernels(work: Work) -> list[tuple[str, float]]:
    """Names of the kernels that take longest, and their shares of the time."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as found:
        work()
        torch.cuda.synchronize()
    by_name = {event.key: event.self_device_time_total for event in found.key_averages()}
    whole = sum(by_name.values())
    longest = sorted(by_name.items(), key=lambda item: -item[1])[:KERNELS]
    return [(name.split("(")[0][:90], spent / whole) for name, spent in longest if spent]
