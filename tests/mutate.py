"""Mutation testing: Cosmic Ray puts faults into the code one by one, and the tests of the faulty module run.

    python -m tests.mutate [MODULE...] [--sample N [--skip M]] [--survivors] [--out runs/mutation] [--processes 2]

A MODULE is a file or folder below src/precisionflow, such as ablation/statistics.py; without one, every room of `ROOMS`
is tried. Faults are made in copies of the checkout. What was tried is kept in `sessions/`, by the content of the module
and its tests, so that the same command again goes on where the last one ended. `summary.json` has the share of faults
that were noticed, by room; `survivors.md` the others, with the reason where `survivors.toml` knows one.

`--sample N` tries N faults of each room, drawn at random but always the same ones; a larger N goes on from a smaller.
`--skip M` passes over the first M of them: where tests were written for their survivors, the others tell the share.
`--survivors` is for tests that were added: what the tests before noticed counts as noticed, the others are tried.
"""

import argparse
import compileall
import ctypes
import difflib
import importlib
import importlib.util
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult

from tests.mutants import PACKAGE, ROOMS, ROOT, Module, fault_name, faults, modules, sample, write

PR_SET_PDEATHSIG = 1
"""Number of the option in linux/prctl.h."""
IMPORTED = (
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "pydantic",
    "pytest",
    "safetensors.torch",
    "scipy.integrate",
    "scipy.stats",
    "sklearn.datasets",
    "sklearn.metrics",
    "torch.func",
    "yaml",
)
"""Libraries of most tests: a process imports them once, and its forks have them."""
PATIENCE, LEAST_PATIENCE = 4.0, 15.0
"""A faulty module's tests get so many times the processor time of the sound one's, and at least so many seconds."""
WAITING = 20.0
"""Seconds of the clock that tests may take for each second of processor time that they are allowed."""
_sound_times: MutableMapping[Path, float | None] = {}
"""File of tests -> its processor time without a fault; none where it fails. `_enter` shares it among processes."""


def main() -> None:
    """Try the faults that are left, then write what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--sample", type=int, metavar="N")
    parser.add_argument("--skip", type=int, default=0, metavar="M")
    parser.add_argument("--survivors", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs", "mutation"))
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    os.chdir(ROOT)
    tried = modules(given.modules or list(ROOMS))
    sessions = given.out.resolve() / "sessions"
    sessions.mkdir(parents=True, exist_ok=True)
    stored = {module: sessions / module.session for module in tried}
    for module, session in stored.items():
        _list_faults(module, session, noticed_before=given.survivors)
    drawn = sample(
        {module: faults(module, session) for module, session in stored.items()}, given.sample, given.skip
    )
    copies = [_copy(given.out.resolve() / "copies" / str(number)) for number in range(given.processes)]
    with get_context("spawn").Manager() as manager:
        free, sound = manager.Queue(), manager.dict()
        for copy in copies:
            free.put(str(copy))
        with ProcessPoolExecutor(
            given.processes, mp_context=get_context("spawn"), initializer=_enter, initargs=(free, sound)
        ) as pool:
            try:
                _try(stored, drawn, pool)
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                sys.exit("stopped; run again to go on")
            finally:
                write(given.out, stored, drawn)


def _copy(folder: Path) -> Path:
    """A fresh copy of the checkout's own files, changed and new ones too, with their times."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    compileall.compile_dir(folder / PACKAGE, quiet=1)
    return folder


def _enter(free: Any, sound: Any) -> None:
    """Work in a copy of the checkout that no other process has, with what all tests import already there.

    `sound` maps files of tests to their processor time without a fault, in all processes.
    """
    global _sound_times
    _sound_times = sound
    copy = Path(free.get())
    os.chdir(copy)
    os.environ |= {"PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(copy), str(copy / "src")]
    for name in IMPORTED:
        importlib.import_module(name)
    package = importlib.util.find_spec("precisionflow")
    assert package is not None
    assert str(package.origin).startswith(f"{copy}/"), package.origin


def _try(stored: Mapping[Module, Path], drawn: Sequence[str], pool: ProcessPoolExecutor) -> None:
    """Try the faults drawn, in their order, that the modules' sessions lack."""
    left = {item.job_id: (module, item) for module, session in stored.items() for item in _pending(session)}
    chosen = [left[job_id] for job_id in drawn if job_id in left]
    waiting = {pool.submit(_test, item, module.tests): (module, item) for module, item in chosen}
    for number, future in enumerate(as_completed(waiting), 1):
        module, item = waiting[future]
        result = future.result()
        if result is None:
            print(
                f"{module.path}: without a fault its tests fail too: {' '.join(map(str, module.tests))}",
                flush=True,
            )
            continue
        with use_db(str(stored[module])) as kept:
            kept.set_result(item.job_id, result)
        if result.test_outcome == TestOutcome.SURVIVED:
            change = (result.diff or "").split("@@")[-1].strip().replace("\n", "; ")
            print(f"{number} of {len(chosen)}: {module.path}: {change}", flush=True)


def _pending(session: Path) -> list[WorkItem]:
    with use_db(str(session)) as kept:
        return list(kept.pending_work_items)


def _list_faults(module: Module, session: Path, *, noticed_before: bool) -> None:
    """Fill a session with the faults of a module, if it has none."""
    with use_db(str(session)) as kept:
        if not kept.num_work_items:
            init([module.path], kept, {})
        if noticed_before:
            before = _noticed(session.parent.glob(f"{module.same_code}*.sqlite"))
            for item in kept.pending_work_items:
                if result := before.get(fault_name(item.mutations[0])):
                    kept.set_result(item.job_id, result)


def _noticed(sessions: Iterable[Path]) -> dict[str, WorkResult]:
    """Faults that were noticed in one of these sessions: name -> what came of it."""
    found = {}
    for session in sessions:
        with use_db(str(session), WorkDB.Mode.open) as kept:
            for item, result in kept.completed_work_items:
                if result.test_outcome == TestOutcome.KILLED:
                    found[fault_name(item.mutations[0])] = result
    return found


def _sound(tests: Iterable[Path]) -> float | None:
    """Processor time of the tests without a fault; none where they fail."""
    times = [_sound_file(test) for test in tests]
    return None if None in times else sum(filter(None, times))


def _sound_file(test: Path) -> float | None:
    """The same of one file."""
    if test not in _sound_times:
        _sound_times[test] = _measured(test)
    return _sound_times[test]


def _measured(test: Path) -> float | None:
    """The same, measured. What it imports leaves bytecode."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not _passes([test], limit=math.inf, bytecode=True):
        return None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _test(item: WorkItem, tests: Sequence[Path]) -> WorkResult | None:
    """Run the tests with one fault in the copy; none where they fail without it."""
    sound = _sound(tests)
    if sound is None:
        return None
    limit = max(LEAST_PATIENCE, PATIENCE * sound)
    (mutation,) = item.mutations
    operator = get_operator(mutation.operator_name)(**mutation.operator_args)
    with use_mutation(mutation.module_path, operator, mutation.occurrence) as (sound, faulty):
        if faulty is None:
            return WorkResult(worker_outcome=WorkerOutcome.NO_TEST)
        first, *others = tests
        survived = _passes([first], limit=limit) and (not others or _passes(others, limit=limit))
    return WorkResult(
        worker_outcome=WorkerOutcome.NORMAL,
        test_outcome=TestOutcome.SURVIVED if survived else TestOutcome.KILLED,
        diff="\n".join(difflib.unified_diff(sound.splitlines(), faulty.splitlines(), n=0, lineterm="")),
    )


def _passes(tests: Sequence[Path], *, limit: float, bytecode: bool = False) -> bool:
    """Whether the tests pass within `limit` seconds of processor time, in a fork: nothing is imported twice.

    Only sound code leaves `bytecode`: Python tells files apart by size and second.
    """
    child = os.fork()
    if not child:
        os.setsid()
        sys.dont_write_bytecode = not bytecode
        if math.isfinite(limit):
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), math.ceil(limit)))
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a fault may make a loop without an end
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        import pytest

        os._exit(int(pytest.main(["-x", "-q", "--no-header", "--tb=no", *map(str, tests)])))
    end = time.monotonic() + WAITING * limit
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
