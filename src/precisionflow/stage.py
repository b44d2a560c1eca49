"""One stage's work: where it goes, whether it is finished, and that it is whole or absent."""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from precisionflow import __version__
from precisionflow.config import Experiment, digest
from precisionflow.records import write_text

MARKER = "stage.json"


def once(out: Path, *, verb: str, inputs: object, work: Callable[[Path], None]) -> bool:
    """Run `work(folder)` and rename the folder to `out`, unless `out` is finished for the same inputs.

    `inputs` is JSON content that determines the result (configuration, keys of earlier stages). A killed stage leaves
    only a hidden folder, which the next call removes; of two processes with the same `out`, one waits. Returns whether
    the work ran. ValueError when `out` holds files that no stage wrote.
    """
    key = stage_key(verb, inputs)
    if finished_key(out) == key:
        return False
    _refuse_foreign(out)
    out = out.resolve()
    with _parents(out), _partial(out) as partial:
        if finished_key(out) == key:
            return False
        start = time.perf_counter()
        work(partial)
        seconds = round(time.perf_counter() - start, 3)
        marker = {"verb": verb, "key": key, "version": __version__, "seconds": seconds}
        write_text(json.dumps(marker, indent=1) + "\n", partial / MARKER)
        if out.exists():
            shutil.rmtree(out)
        partial.rename(out)
    return True


def _refuse_foreign(out: Path) -> None:
    """A stage replaces its output, so what is there must be one."""
    if out.exists() and not (out / MARKER).exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: holds files that no stage wrote; choose another --out or remove it")


@contextlib.contextmanager
def _parents(folder: Path) -> Iterator[None]:
    """Make the parents of `folder`; remove those that the block leaves empty."""
    absent = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for parent in absent:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


@contextlib.contextmanager
def _partial(out: Path) -> Iterator[Path]:
    """An empty folder for this process alone, inside a hidden one beside `out`; what is left of it goes at the end."""
    hidden = out.with_name(f".{out.name}.partial")
    with _held(hidden / "lock"):
        try:
            partial = hidden / "content"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            yield partial
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def _held(file: Path, *, wait: bool = True) -> TextIO:
    """A lock file, opened when no other process holds it; one that its last holder has removed is made again.

    BlockingIOError where another process holds it and `wait` is false.
    """
    while True:
        file.parent.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as opened:
            lock = opened.enter_context(file.open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock.fileno()).st_nlink:
                opened.pop_all()
                return lock


def stage_key(verb: str, inputs: object) -> str:
    """Identity of a stage's result."""
    return digest({"verb": verb, "version": __version__, "inputs": inputs})


def finished_key(out: Path) -> str | None:
    """Key of a finished stage; none when it isn't finished."""
    marker = _marker(out)
    return str(marker["key"]) if marker else None


def finished_seconds(out: Path) -> float:
    """Seconds that the work of a finished stage took."""
    marker = _marker(out)
    return float(marker["seconds"]) if marker else 0.0


def input_key(folder: Path) -> str:
    """Key of an input; ValueError when the stage that makes it is not finished."""
    key = finished_key(folder)
    if key is None:
        raise ValueError(f"{folder}: is not a finished stage; run the stage that writes it first")
    return key


def _marker(out: Path) -> dict[str, Any] | None:
    try:
        content = json.loads((out / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "key" in content and "seconds" in content else None


def checkpoint_folder(out: Path) -> Path:
    """Where an unfinished training run keeps its checkpoints: beside its output, so that they outlive a kill."""
    return out.with_name(f".{out.name}.checkpoint")


def data_folder(data: Path, experiment: Experiment, split: int) -> Path:
    """The prepared data of one split inside the `data` folder of a run: shared by all variants with the same task."""
    return data / f"{experiment.dataset}-{digest(experiment.task.model_dump(mode='json'))}" / f"split-{split}"


def cell_folder(root: Path, seed: int, split: int) -> Path:
    """The folder of one (seed, split) inside a variant's `model` or `evaluation` folder."""
    return root / f"seed-{seed}-split-{split}"


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a results folder for one run; ValueError when another process holds it."""
    file = folder / ".lock"
    with _parents(file):
        try:
            lock = _held(file, wait=False)
        except BlockingIOError:
            raise ValueError(
                f"{folder}: another run is writing here; wait for it or choose another --out"
            ) from None
        with lock:
            try:
                yield
            finally:
                file.unlink(missing_ok=True)


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait until no other process of the run with these results is inside such a block."""
    file = folder / ".turn"
    with _held(file):
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
