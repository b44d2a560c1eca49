"""Mutation testing: Cosmic Ray puts faults into the code one by one, and the tests of the faulty module run.

    python -m tests.mutate [MODULE...] [--out runs/mutation] [--processes 2]

A MODULE is a file or folder below src/precisionflow, such as ablation/statistics.py; without one, every room of `ROOMS`
is tried. Faults are made in copies of the checkout. What was tried is kept in `sessions/`, by the content of the module
and its tests, so that the same command again goes on where the last one ended. `summary.json` has the share of faults
that were noticed, by room; `survivors.md` the others, with the reason where `survivors.toml` knows one.
"""

import argparse
import ctypes
import difflib
import importlib
import importlib.util
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult

from tests.mutants import ROOMS, ROOT, Module, modules, silent, write

PR_SET_PDEATHSIG = 1
"""Number of the option in linux/prctl.h."""
PATIENCE, LEAST_PATIENCE = 4.0, 30.0
"""A faulty module's tests get so many times as long as the sound one's, and at least so many seconds."""


def main() -> None:
    """Try the faults that are left, then write what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--out", type=Path, default=Path("runs", "mutation"))
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    os.chdir(ROOT)
    tried = modules(given.modules or list(ROOMS))
    sessions = given.out.resolve() / "sessions"
    sessions.mkdir(parents=True, exist_ok=True)
    copies = [_copy(given.out.resolve() / "copies" / str(number)) for number in range(given.processes)]
    with get_context("spawn").Manager() as manager:
        free = manager.Queue()
        for copy in copies:
            free.put(str(copy))
        with ProcessPoolExecutor(
            given.processes, mp_context=get_context("spawn"), initializer=_enter, initargs=(free,)
        ) as pool:
            try:
                for module in tried:
                    _try(module, sessions / module.session, pool)
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                sys.exit("stopped; run again to go on")
            finally:
                write(given.out, sessions)


def _copy(folder: Path) -> Path:
    """A fresh copy of the checkout's own files, changed and new ones too."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def _enter(free: Any) -> None:
    """Work in a copy of the checkout that no other process has, with what all tests import already there."""
    copy = Path(free.get())
    os.chdir(copy)
    os.environ |= {"PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(copy), str(copy / "src")]
    for name in ("numpy", "pandas", "pyarrow.parquet", "pydantic", "pytest", "scipy.stats", "torch", "yaml"):
        importlib.import_module(name)
    package = importlib.util.find_spec("precisionflow")
    assert package is not None
    assert str(package.origin).startswith(f"{copy}/"), package.origin


def _try(module: Module, session: Path, pool: ProcessPoolExecutor) -> None:
    """Try the faults of one module that its session lacks."""
    with use_db(str(session)) as kept:
        if not kept.num_work_items:
            _list_faults(module, kept)
        left = kept.pending_work_items
        if not left:
            return
        sound = pool.submit(_sound, module.tests).result()
        if sound is None:
            print(f"{module.path}: without a fault its tests fail too: {' '.join(map(str, module.tests))}")
            return
        limit = max(LEAST_PATIENCE, PATIENCE * sound)
        print(f"{module.path}: {len(left)} faults, {sound:.1f} s of tests", flush=True)
        waiting = {pool.submit(_test, item, module.tests, limit): item for item in left}
        for future in as_completed(waiting):
            kept.set_result(waiting[future].job_id, future.result())


def _list_faults(module: Module, kept: WorkDB) -> None:
    """Fill a session with the faults of a module; those that change no number are skipped."""
    init([module.path], kept, {})
    lines = module.path.read_text(encoding="utf-8").splitlines()
    skipped = [item.job_id for item in kept.work_items if silent(item, lines)]
    kept.set_multiple_results(skipped, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))


def _sound(tests: Sequence[Path]) -> float | None:
    """Seconds of the tests without a fault; none where they fail."""
    start = time.perf_counter()
    return time.perf_counter() - start if _passes(tests, limit=math.inf) else None


def _test(item: WorkItem, tests: Sequence[Path], limit: float) -> WorkResult:
    """Run the tests with one fault in the copy."""
    (mutation,) = item.mutations
    operator = get_operator(mutation.operator_name)(**mutation.operator_args)
    with use_mutation(mutation.module_path, operator, mutation.occurrence) as (sound, faulty):
        if faulty is None:
            return WorkResult(worker_outcome=WorkerOutcome.NO_TEST)
        survived = _passes(tests, limit=limit)
    return WorkResult(
        worker_outcome=WorkerOutcome.NORMAL,
        test_outcome=TestOutcome.SURVIVED if survived else TestOutcome.KILLED,
        diff="\n".join(difflib.unified_diff(sound.splitlines(), faulty.splitlines(), n=0, lineterm="")),
    )


def _passes(tests: Sequence[Path], *, limit: float) -> bool:
    """Whether the tests pass within `limit` seconds, in a fork of this process: nothing is imported twice."""
    child = os.fork()
    if not child:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a fault may make a loop without an end
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        import pytest

        os._exit(int(pytest.main(["-x", "-q", "--no-header", "--tb=no", *map(str, tests)])))
    end = time.monotonic() + limit
    try:
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(0.01)
    except BaseException as stopped:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if isinstance(stopped, TimeoutError):
            return False
        raise
    return ended[1] == 0


if __name__ == "__main__":
    main()
