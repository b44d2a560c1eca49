"""The device that a process trains and evaluates on."""

import torch

from precisionflow.config.engine import Engine
from precisionflow.training.ranks import Ranks


def pick_device(engine: Engine) -> torch.device:
    """The configured device; ValueError where a GPU is asked for and torch finds none."""
    if engine.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("engine.device: given 'cuda', but torch finds no GPU; use auto or cpu")
    if engine.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    index = Ranks.of_process(torch.device("cpu")).index % torch.cuda.device_count()
    return torch.device("cuda", index)
