"""Checkpoints of an unfinished run: whole or absent, one kept, resumable on other numbers of ranks."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from precisionflow.records import HISTORY, read, write, write_text
from precisionflow.training.ranks import Ranks


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

    def latest(self) -> Path | None:
        """Folder of the newest whole checkpoint of this work."""
        if not self.folder.exists():
            return None
        if self._read(self.folder / "key") != self.key:
            self.clear()
            return None
        whole = [path for path in self.folder.glob("step-*") if path.suffix != ".partial"]
        return max(whole, key=lambda path: int(path.name.removeprefix("step-")), default=None)

    def save(self, progress: Progress, save_engine: Callable[[Path], None]) -> None:
        """Write a checkpoint, give it its name, drop the older ones."""
        final = self.folder / f"step-{progress.step}"
        partial = final.with_suffix(".partial")
        if self.ranks.first:
            shutil.rmtree(partial, ignore_errors=True)
            (partial / "engine").mkdir(parents=True)
            write_text(self.key, self.folder / "key")
        self.ranks.barrier()
        save_engine(partial / "engine")
        if self.ranks.first:
            write_progress(progress, partial)
            self.ranks.barrier()
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
            for old in self.folder.glob("step-*"):
                if old != final:
                    shutil.rmtree(old)
        else:
            self.ranks.barrier()
        self.ranks.barrier()

    def clear(self) -> None:
        """Forget all checkpoints."""
        self.ranks.barrier()
        if self.ranks.first:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.ranks.barrier()

    @staticmethod
    def _read(path: Path) -> str:
        return path.read_text() if path.exists() else ""


def write_progress(progress: Progress, folder: Path) -> None:
    """Progress as JSON, Parquet and safetensors."""
    write(history_table(progress.history), folder / "history.parquet", HISTORY)
    if progress.best:
        save_file(progress.best, folder / "best.safetensors")
    numbers = {name: getattr(progress, name) for name in ("step", "best_loss", "best_step", "stale")}
    interval = {
        "sums": progress.interval.sums.tolist(),
        "steps": progress.interval.steps,
        "seconds": progress.interval.seconds,
    }
    write_text(json.dumps(numbers | {"interval": interval}), folder / "progress.json")


def read_progress(folder: Path) -> Progress:
    """What `write_progress` wrote."""
    numbers = json.loads((folder / "progress.json").read_text())
    table = read(folder / "history.parquet", HISTORY)
    history = list(zip(*(table[name].to_pylist() for name in HISTORY.names), strict=True))
    best = load_file(folder / "best.safetensors") if (folder / "best.safetensors").exists() else {}
    kept = numbers.pop("interval")
    interval = Interval(torch.tensor(kept["sums"], dtype=torch.float64), kept["steps"], kept["seconds"])
    return Progress(**numbers, history=history, best=best, interval=interval)
