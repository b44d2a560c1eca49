"""One stage's work: whole or absent, done once for the same inputs."""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from precisionflow import __version__
from precisionflow.records.files import write_text
from precisionflow.results.identity import stage_key
from precisionflow.results.layout import MARKER
from precisionflow.results.locks import held, parents_of


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
    with parents_of(out), _partial(out) as partial:
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
def _partial(out: Path) -> Iterator[Path]:
    """An empty folder for this process alone, inside a hidden one beside `out`; what is left of it goes at the end."""
    hidden = out.with_name(f".{out.name}.partial")
    with held(hidden / "lock"):
        try:
            partial = hidden / "content"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            yield partial
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


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
