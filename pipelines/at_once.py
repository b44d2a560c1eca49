"""How many tasks run at once on this machine, and with how many threads each."""

import os

from precisionflow.results.machine import core_count, free_memory, gpus

FEWEST_AT_ONCE = 2
"""Tasks at once: as many on one core, and on GPUs, whose memory they share."""
MEMORY_OF_TASK = 1 << 30


def tasks_at_once() -> int:
    """As many as there are cores, and memory for each; where there is a GPU two."""
    if any(gpus()):
        return FEWEST_AT_ONCE
    return max(FEWEST_AT_ONCE, min(core_count(), free_memory() // MEMORY_OF_TASK))


def threads_of_each(at_once: int) -> dict[str, str]:
    """Environment in which each of the tasks at once has the threads of its share of the cores, unless a user says."""
    threads = os.environ.get("OMP_NUM_THREADS")
    return {"OMP_NUM_THREADS": threads or str(max(1, core_count() // at_once))}
