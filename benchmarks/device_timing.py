"""Time, memory and kernels of work on a GPU, by events of the device."""

import statistics
import time
from collections.abc import Callable

import torch

WARM, TURNS = 3, 20
SECONDS = 2.0
"""So long turns take together, if they are more than the fewest."""
FEWEST = 3
KERNELS = 3

Work = Callable[[], object]


def milliseconds(work: Work) -> float:
    """Median of turns after some that do not count; all are queued at once, as a training queues its steps."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(WARM):
        work()
    torch.cuda.synchronize()
    one = (time.perf_counter() - start) / WARM
    turns = [
        [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        for _ in range(max(FEWEST, min(TURNS, int(SECONDS / one))))
    ]
    for before, after in turns:
        before.record()
        work()
        after.record()
    torch.cuda.synchronize()
    return statistics.median(before.elapsed_time(after) for before, after in turns)


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
