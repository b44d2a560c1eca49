"""Memory that tensors hold on a CPU."""

from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile


def peak_bytes(work: Callable[[], object]) -> int:
    """Most bytes that torch's allocator has handed out during `work` and not got back, above what it had before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    changes = [of for of in seen.profiler.kineto_results.events() if of.name() == "[memory]"]
    held = peak = 0
    for change in sorted(changes, key=lambda of: of.start_ns()):
        held += change.nbytes()
        peak = max(peak, held)
    return peak
