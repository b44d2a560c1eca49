"""Files of tensors: written whole, read without unpickling, their damage and a full disk told in one line."""

import contextlib
import errno
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    AssertionError,
    UnpicklingError,
    SafetensorError,
)
"""Errors of torch, safetensors, DeepSpeed (which asserts) and our own records for damaged files."""
DAMAGED = (None, errno.ENOENT, errno.EINVAL)
"""errno of an OSError that a missing or truncated file gives; all others are about the disk."""


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by name as safetensors."""
    with saving(path):
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name, in memory of their own.

    A mapped file puts them at any address, and a product may round otherwise at another alignment: the same weights
    would give other bits from one process to the next.
    """
    return {name: tensor.clone() for name, tensor in load_file(path).items()}


@contextlib.contextmanager
def reading(path: Path, *, checkpoint: Path) -> Iterator[Path]:
    """ValueError that names `path`, a file or folder of a checkpoint, where the block finds it missing or damaged."""
    try:
        yield path
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.errno not in DAMAGED:
            raise
        reason = (str(error).splitlines() or ["a file is missing"])[0]
        raise ValueError(
            f"{path}: cannot be read ({reason}); delete the checkpoint {checkpoint} and run again "
            "to train from an older one or from the start"
        ) from None


@contextlib.contextmanager
def saving(path: Path) -> Iterator[Path]:
    """OSError where torch or safetensors report a full disk as an error of their own."""
    try:
        yield path
    except (RuntimeError, SafetensorError) as error:
        if isinstance(error, RuntimeError) and "inline_container" not in str(error):
            raise
        reason = str(error).splitlines()[0]
        raise OSError(errno.EIO, f"cannot be written, the disk may be full ({reason})", str(path)) from None
