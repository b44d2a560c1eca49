"""One stage's work: whole or absent, done once for the same inputs and code."""

import contextlib
import functools
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from precisionflow import __version__
from precisionflow.records.files import write_card
from precisionflow.records.marker import MARKER, StageCard, check_written, digests_of, read_marker
from precisionflow.results.code import Verb, code_commit, code_digest, code_is_trusted
from precisionflow.results.identity import inputs_digest, stage_key
from precisionflow.results.locks import held, is_locked, parents_of
from precisionflow.results.machine import described_machine

LIBRARIES = ("numpy", "scipy", "scikit-learn", "pyarrow", "torch", "deepspeed")
"""Libraries that compute numbers."""


def once(out: Path, *, verb: Verb, inputs: object, work: Callable[[Path], None]) -> bool:
    """Run `work(folder)` and rename the folder to `out`, unless `out` is finished for the same inputs.

    `inputs` is JSON content that determines the result (configuration, keys of earlier stages). A killed stage leaves
    only a hidden folder, which the next call removes; of two processes with the same `out`, one waits. Returns whether
    the work ran. ValueError when `out` holds files that no stage wrote.
    """
    if finished(out, verb=verb, inputs=inputs):
        return False
    _refuse_foreign(out)
    out = out.resolve()
    with parents_of(out), partial_of(out) as partial:
        if finished(out, verb=verb, inputs=inputs):
            return False
        start = time.perf_counter()
        work(partial)
        seconds = round(time.perf_counter() - start, 3)
        write_card(_marker(partial, verb=verb, inputs=inputs, seconds=seconds), partial / MARKER)
        if out.exists():
            shutil.rmtree(out)
        partial.rename(out)
    return True


def _marker(folder: Path, *, verb: Verb, inputs: object, seconds: float) -> StageCard:
    return StageCard(
        verb=verb,
        key=stage_key(verb, inputs),
        inputs=inputs_digest(verb, inputs),
        code=code_digest(verb),
        version=__version__,
        commit=code_commit(),
        seconds=seconds,
        ended=round(time.time(), 3),
        machine=described_machine(),
        python=platform.python_version(),
        libraries=library_versions(LIBRARIES),
        files=digests_of(folder),
    )


@functools.cache
def library_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of those libraries that are installed."""
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def finished(out: Path, *, verb: Verb, inputs: object) -> bool:
    """Whether `out` holds the result of these inputs and this code.

    Where code is trusted, a result of other code counts too, and its marker says so from then on.
    """
    marker = _whole(out)
    if marker is None:
        return False
    own = marker.key == stage_key(verb, inputs)
    if not own and not (code_is_trusted() and marker.inputs == inputs_digest(verb, inputs)):
        return False
    trusted = None if own else code_digest(verb)
    if marker.trusted != trusted:
        write_card(marker.model_copy(update={"trusted": trusted}), out / MARKER)
    return True


def _refuse_foreign(out: Path) -> None:
    """A stage replaces its output, so what is there must be one."""
    if out.exists() and not (out / MARKER).exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: holds files that no stage wrote; choose another --out or remove it")


def begun(out: Path) -> bool:
    """Whether a process has died in the middle of the work that leads to `out`."""
    hidden = _hidden(out)
    return (hidden / "content").is_dir() and not is_locked(hidden / "lock")


@contextlib.contextmanager
def partial_of(out: Path) -> Iterator[Path]:
    """An empty folder for this process alone, inside a hidden one beside `out`; what is left of it goes at the end."""
    hidden = _hidden(out)
    with held(hidden / "lock"):
        try:
            partial = hidden / "content"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            yield partial
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def _hidden(out: Path) -> Path:
    return out.with_name(f".{out.name}.partial")


def finished_key(out: Path) -> str | None:
    """Key of a finished stage; none when it isn't finished."""
    marker = _whole(out)
    return marker.key if marker else None


class Span(NamedTuple):
    """When a stage worked, in seconds since 1970."""

    start: float
    end: float


def finished_span(out: Path) -> Span:
    """When a finished stage worked; ValueError when it isn't finished."""
    marker = input_marker(out)
    return Span(marker.ended - marker.seconds, marker.ended)


def input_key(folder: Path) -> str:
    """Key of an input; ValueError when the stage that makes it is not finished or a file of it is gone."""
    return input_marker(folder).key


def input_marker(folder: Path) -> StageCard:
    """Marker of an input; ValueError as of `input_key`."""
    marker = read_marker(folder)
    if marker is None:
        raise ValueError(f"{folder}: is not a finished stage; run the stage that writes it first")
    for name in marker.files:
        if not os.path.exists(f"{folder}/{name}"):
            check_written(folder / name)
    return marker


def _whole(out: Path) -> StageCard | None:
    """Marker of a stage whose files are all there; their bytes are checked where they are read."""
    marker = read_marker(out)
    return marker if marker and all((out / name).is_file() for name in marker.files) else None
