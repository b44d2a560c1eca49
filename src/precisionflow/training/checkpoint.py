"""Checkpoints of an unfinished run: whole or absent, one kept, resumable on other numbers of ranks."""

import contextlib
import errno
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError

import pyarrow as pa
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from precisionflow.records.files import read_parquet, write_parquet, write_text
from precisionflow.records.schemas import HISTORY
from precisionflow.results.locks import exclusive
from precisionflow.training.ranks import Ranks

UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    AssertionError,
    UnpicklingError,
    SafetensorError,
)
"""What torch, safetensors, DeepSpeed (which asserts) and our own records raise for damaged files."""
DAMAGED = (None, errno.ENOENT, errno.EINVAL)
"""Numbers of the OSErrors that a missing file or one cut short gives; the others are about the disk."""


@dataclass
class Interval:
    """Sums over the steps since the last validation, on this rank."""

    sums: Tensor = field(default_factory=lambda: torch.zeros(2, dtype=torch.float64))
    """Of the loss and of the energy."""
    steps: int = 0
    seconds: float = 0.0

    def add(self, loss: Tensor, energy: Tensor, seconds: float) -> None:
        self.sums = self.sums.to(loss.device) + torch.stack(
            [loss.detach().double(), energy.detach().double()]
        )
        self.steps += 1
        self.seconds += seconds

    def share(self, ranks: Ranks) -> None:
        """Give every rank the mean over ranks, so that what the first one writes stands for all of them."""
        total = ranks.sum(self.sums.new_tensor([*self.sums.tolist(), self.seconds]).to(ranks.device))
        loss, energy, self.seconds = (total / ranks.count).tolist()
        self.sums = torch.tensor([loss, energy], dtype=torch.float64)


@dataclass
class Progress:
    """Where a run stands, beside what the engine holds."""

    step: int = 0
    """Optimiser steps taken."""
    history: list[tuple[int, str, float]] = field(default_factory=list)
    """(step, metric, value)."""
    best_loss: float = float("inf")
    best_step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the best validation so far, on the first rank."""
    stale: int = 0
    """Validations since the best."""
    interval: Interval = field(default_factory=Interval)


def history_table(history: list[tuple[int, str, float]]) -> pa.Table:
    """records.HISTORY."""
    steps, metrics, values = zip(*history, strict=True) if history else ((), (), ())
    return pa.table({"step": steps, "metric": metrics, "value": values}, schema=HISTORY)


class Checkpoints:
    """The checkpoint folder of one run; `key` is the identity of the work, and other work's checkpoints are dropped."""

    def __init__(self, folder: Path, *, key: str, ranks: Ranks) -> None:
        self.folder = folder
        self.key = key
        self.ranks = ranks

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for one run and remove it when the block ends well; ValueError while another run holds it."""
        if not self.ranks.first:
            yield
            return
        try:
            with exclusive(self.folder):
                yield
                shutil.rmtree(self.folder)
        finally:
            with contextlib.suppress(OSError):
                self.folder.rmdir()

    def latest(self) -> Path | None:
        """Folder of the newest whole checkpoint of this work."""
        if not self.ranks.all(self._written_key() == self.key):
            self._drop()
            return None
        whole = [path for path in self.folder.glob("step-*") if path.suffix != ".partial"]
        return max(whole, key=lambda path: int(path.name.removeprefix("step-")), default=None)

    def save(self, progress: Progress, save_engine: Callable[[Path], None]) -> None:
        """Write a checkpoint, give it its name, drop the older ones."""
        progress.interval.share(self.ranks)
        final = self.folder / f"step-{progress.step}"
        partial = final.with_suffix(".partial")
        if self.ranks.first:
            shutil.rmtree(partial, ignore_errors=True)
            (partial / "engine").mkdir(parents=True)
            write_text(self.key, self.folder / "key")
        self.ranks.barrier()
        save_engine(partial / "engine")
        self.ranks.barrier()
        if self.ranks.first:
            write_progress(progress, partial)
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
            for old in self.folder.glob("step-*"):
                if old != final:
                    shutil.rmtree(old)
        self.ranks.barrier()

    def _drop(self) -> None:
        """Forget all checkpoints; the key goes first, so that a kill in between leaves none that counts."""
        self.ranks.barrier()
        if self.ranks.first:
            (self.folder / "key").unlink(missing_ok=True)
            for path in self.folder.glob("step-*"):
                shutil.rmtree(path)
        self.ranks.barrier()

    def _written_key(self) -> str:
        path = self.folder / "key"
        return path.read_text(encoding="utf-8") if path.exists() else ""


def write_progress(progress: Progress, folder: Path) -> None:
    """Progress as JSON, Parquet and safetensors."""
    write_parquet(history_table(progress.history), folder / "history.parquet", HISTORY)
    if progress.best:
        save_weights(progress.best, folder / "best.safetensors")
    numbers = {name: getattr(progress, name) for name in ("step", "best_loss", "best_step", "stale")}
    interval = {
        "sums": progress.interval.sums.tolist(),
        "steps": progress.interval.steps,
        "seconds": progress.interval.seconds,
    }
    write_text(json.dumps(numbers | {"interval": interval}), folder / "progress.json")


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Tensors by name as safetensors."""
    with saving(path):
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)


def read_progress(folder: Path) -> Progress:
    """What `write_progress` wrote; ValueError when it is not whole."""
    with reading(folder / "progress.json", checkpoint=folder) as path:
        numbers = json.loads(path.read_text(encoding="utf-8"))
    with reading(folder / "history.parquet", checkpoint=folder) as path:
        table = read_parquet(path, HISTORY)
    history = list(zip(*(table[name].to_pylist() for name in HISTORY.names), strict=True))
    with reading(folder / "best.safetensors", checkpoint=folder) as path:
        best = load_file(path) if path.exists() else {}
    kept = numbers.pop("interval")
    interval = Interval(torch.tensor(kept["sums"], dtype=torch.float64), kept["steps"], kept["seconds"])
    return Progress(**numbers, history=history, best=best, interval=interval)


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
            "to train from the start"
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
