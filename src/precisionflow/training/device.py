"""The device that a process trains and evaluates on."""

import ctypes
import sys

import torch

from precisionflow.config.engine import Engine
from precisionflow.training.ranks import Ranks

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Numbers of the options in malloc.h of the GNU C library."""


def keep_freed_memory() -> None:
    """Have the GNU C library keep what is freed: tensors of every step are then written where the last step's lay.

    By default large ones go back to the system, which hands out cleared pages anew at every step.
    """
    library = ctypes.CDLL(None)
    if sys.platform == "linux" and hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, -1)


def pick_device(engine: Engine) -> torch.device:
    """The configured device; ValueError where a GPU is asked for and torch finds none."""
    if engine.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("engine.device: given 'cuda', but torch finds no GPU; use auto or cpu")
    if engine.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    index = Ranks.of_process(torch.device("cpu")).index % torch.cuda.device_count()
    return torch.device("cuda", index)
