"""Modules that get faults, the tests that look at them, and what came of it: the share noticed, and the survivors."""

import hashlib
import json
import math
import re
import sys
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

ROOT = Path(__file__).parents[1]
PACKAGE = Path("src", "precisionflow")
ROOMS = {
    "ablation": "statistics",
    "evaluation": "evaluation",
    "models": "models",
    "inference": "settling",
    "results": "identity",
    "search": "search",
}
"""Folder of the package -> what it is called in the summary."""
QUICK_TESTS = sorted(
    path.relative_to(ROOT)
    for room in (*ROOMS, "generation")
    for path in (ROOT / "tests" / room).rglob("test_*.py")
)
"""Tests of the rooms and of what texts the models continue; those of whole runs train for minutes."""
BAR = 0.9
"""Least share of faults that tests notice."""
NORMAL_975 = 1.959963984540054
SEED = "precisionflow"
"""Faults of a sample follow from this, so that the same command draws the same ones."""
SILENT = re.compile(
    r"core/(ExceptionReplacer|RemoveDecorator"
    r"|ReplaceBinaryOperator_(BitOr_\w+|\w+_(RShift|LShift|BitOr|BitAnd|BitXor|FloorDiv|Mod))"
    r"|ReplaceComparisonOperator_((Is|IsNot)_(?!Is)\w+|(?!Is)\w+_(Is|IsNot)))"
)
"""Operators of Cosmic Ray that change no number, raise a TypeError at once, or do what another one does."""


NO_NUMBER = re.compile(r"\*\s*,|[!=]=\s*[\"']|if (not )?TYPE_CHECKING|@dataclass")
"""Source at which a fault changes no number: keyword-only stars, words in order, imports, frozen classes."""
INVARIANT = "strict="
"""Source after which a fault changes no number: lengths that the code around has made equal."""


def silent(item: WorkItem, lines: Sequence[str]) -> bool:
    """Whether a fault in a module of these lines changes no number."""
    (mutation,) = item.mutations
    row, column = mutation.start_pos
    here = lines[row - 1]
    if here[:column].endswith(INVARIANT):
        return True
    ordered = re.search(r"_(Lt|LtE|Gt|GtE)$", mutation.operator_name)
    found = NO_NUMBER.match(here[column:]) or NO_NUMBER.match(here.strip())
    by_place = found is not None and (ordered is not None or "=" not in found[0])
    return by_place or SILENT.fullmatch(mutation.operator_name) is not None


@dataclass(frozen=True)
class Module:
    """A module and the tests that look at it."""

    path: Path
    """Below the checkout."""

    @property
    def room(self) -> str:
        """Room that the module counts for."""
        return ROOMS.get(self.path.parts[2], self.path.parts[2])

    @property
    def tests(self) -> list[Path]:
        """Tests of the nearest folder that has some, and quick ones elsewhere that import it.

        The file of its name comes first, then those that import it.
        """
        folder = Path("tests", *self.path.parts[2:-1])
        while not (around := sorted(folder.glob("test_*.py")) or sorted(folder.rglob("test_*.py"))):
            folder = folder.parent
        own = Path("tests", *self.path.parts[2:-1], f"test_{self.path.stem}.py")
        elsewhere = (test for test in QUICK_TESTS if test not in around and self._stands_in(test))
        return sorted([*around, *elsewhere], key=lambda test: (test != own, not self._stands_in(test)))

    def _stands_in(self, test: Path) -> bool:
        *folders, name = self.path.with_suffix("").parts[1:]
        package = re.escape(".".join(folders))
        pattern = (
            rf"^(from {package}\.{name} import|from {package} import .*\b{name}\b|import {package}\.{name}\b)"
        )
        return re.search(pattern, test.read_text(encoding="utf-8"), re.MULTILINE) is not None

    @property
    def session(self) -> str:
        """Name of the file that keeps what was tried: of other content, nothing has been."""
        return f"{self.same_code}{_digest(self.tests)}.sqlite"

    @property
    def same_code(self) -> str:
        """How the names of all sessions of this content begin, whatever its tests were."""
        return f"{'.'.join(self.path.with_suffix('').parts[2:])}-{_digest([self.path])}-"


def _digest(files: Sequence[Path]) -> str:
    read = hashlib.sha256()
    for file in files:
        read.update(file.read_bytes())
    return read.hexdigest()[:12]


@dataclass(frozen=True)
class Tried:
    """A fault that was tried: what a line was and became."""

    module: Module
    line: int
    function: str
    was: str
    became: str
    noticed: bool


def modules(names: Sequence[str]) -> "list[Module]":
    """The modules below these files and folders of the package."""
    found: list[Path] = []
    for name in names:
        path = PACKAGE / name
        if not path.exists():
            sys.exit(f"{path}: does not exist; name a file or folder below {PACKAGE}")
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return [Module(path) for path in found if path.name != "__init__.py"]


def sample(listed: Mapping[Module, Sequence[WorkItem]], size: int | None, skipped: int = 0) -> list[str]:
    """Job ids of `size` faults of each room at random, its modules by their number of faults; of all without a size.

    Systematic sampling: the fault of rank r, in a random order of its module's n, stands at (r + u) / n, u uniform and
    one for the module. The lowest `size` of a room are its sample, so that a larger one contains it, less the lowest
    `skipped`. In this order, the rooms in turn: what a part of it tells holds for a smaller sample.
    """
    places: dict[str, list[tuple[float, str]]] = {}
    for module, items in listed.items():
        ordered = sorted(items, key=lambda item: _uniform(f"{module.path} {fault_name(item.mutations[0])}"))
        start = _uniform(str(module.path))
        of_room = places.setdefault(module.room, [])
        of_room += [((rank + start) / len(ordered), item.job_id) for rank, item in enumerate(ordered)]
    in_turn = zip_longest(*(sorted(of_room)[skipped:size] for of_room in places.values()))
    return [place[1] for turn in in_turn for place in turn if place is not None]


def fault_name(mutation: MutationSpec) -> str:
    """What tells a fault from the others of its module."""
    return f"{mutation.operator_name} {mutation.occurrence} {sorted(mutation.operator_args.items())}"


def _uniform(text: str) -> float:
    digest = hashlib.sha256(f"{SEED} {text}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def write(out: Path, stored: Mapping[Module, Path], drawn: Collection[str]) -> None:
    """Write `summary.json` and `survivors.md` from the modules' sessions: what was tried of the faults drawn."""
    chosen = frozenset(drawn)
    listed = {module: _read(module, session) for module, session in stored.items()}
    tried = [
        _of(module, item, result)
        for module, items in listed.items()
        for item, result in items
        if result is not None and item.job_id in chosen
    ]
    reasons = _reasons()
    strata = [
        Stratum.of(room, [one for one in tried if one.module.room == room], listed, reasons)
        for room in dict.fromkeys(one.module.room for one in tried)
    ]
    counted = [room for room in strata if room.counted]
    rows = [_row(room.name, [room]) for room in counted]
    if len(rows) > 1:
        rows.append(_row("all of them", counted))
    (out / "summary.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    lines = ["| module | line | function | was | became | reason |", "|---|---|---|---|---|---|"]
    for one in tried:
        if not one.noticed:
            cells = (one.module.path.relative_to(PACKAGE), one.line, one.function, one.was, one.became)
            texts = [str(cell).replace("|", "\\|") for cell in (*cells, reasons.get(_key(one), ""))]
            lines.append(f"| {' | '.join(texts)} |")
    (out / "survivors.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for row in rows:
        low, high = row["interval"]
        print(f"{row['measure']}: {row['value']:.1%}, 95 % interval {low:.1%} to {high:.1%}", flush=True)


class Stratum(NamedTuple):
    """Faults of one room."""

    name: str
    known: int
    """Faults that the room has."""
    tried: int
    noticed: int
    explained: int
    """Faults that change nothing: they do not count."""

    @classmethod
    def of(
        cls,
        room: str,
        tried: Sequence[Tried],
        listed: Mapping[Module, Sequence[Any]],
        reasons: Collection[tuple[str, str, str]],
    ) -> "Stratum":
        """What was tried of a room."""
        explained = sum(not one.noticed and _key(one) in reasons for one in tried)
        known = sum(len(items) for module, items in listed.items() if module.room == room)
        return cls(room, known, len(tried), sum(one.noticed for one in tried), explained)

    @property
    def counted(self) -> int:
        return self.tried - self.explained


def _row(name: str, rooms: Sequence[Stratum]) -> dict[str, Any]:
    """Share of the faults that tests notice, each room by the number of faults that it has, and its 95 % interval.

    Wilson's, with the effective number 1 / sum (weight^2 / n) of faults tried (Kish 1965).
    """
    known, tried, noticed, explained = (
        sum(column) for column in zip(*(room[1:] for room in rooms), strict=True)
    )
    share = sum(room.known * room.noticed / room.counted for room in rooms) / known
    effective = known**2 / sum(room.known**2 / room.counted for room in rooms)
    measure = (
        f"faults in {name} that tests notice ({noticed} of {tried - explained}, {explained} change nothing"
    )
    measure += ")" if tried == known else f"; a sample of {tried} of {known})"
    held = {
        "bar": BAR,
        "holds": share >= BAR,
        "interval": [round(end, 4) for end in wilson(share, effective)],
    }
    return {"measure": measure, "value": round(share, 4), "unit": "share", **held}


def wilson(share: float, n: float) -> tuple[float, float]:
    """95 % interval of a probability of which `share` of n draws were seen (Wilson 1927)."""
    squared = NORMAL_975**2 / n
    middle = (share + squared / 2) / (1 + squared)
    half = math.sqrt(share * (1 - share) * squared + squared**2 / 4) / (1 + squared)
    return middle - half, middle + half


def faults(module: Module, session: Path) -> list[WorkItem]:
    """Faults of a module that change a number."""
    return [item for item, _ in _read(module, session)]


def _read(module: Module, session: Path) -> list[tuple[WorkItem, WorkResult | None]]:
    """Faults of a module that change a number, with what came of them."""
    lines = module.path.read_text(encoding="utf-8").splitlines()
    with use_db(str(session), WorkDB.Mode.open) as kept:
        results = dict(kept.results)
        found = [(item, results.get(item.job_id)) for item in kept.work_items if not silent(item, lines)]
    return [
        (item, result)
        for item, result in found
        if result is None or result.worker_outcome == WorkerOutcome.NORMAL
    ]


def _of(module: Module, item: WorkItem, result: WorkResult) -> Tried:
    (mutation,) = item.mutations
    changed = [line for line in (result.diff or "").splitlines() if re.match(r"[-+](?!--|\+\+)", line)]
    was, became = ("; ".join(line[1:].strip() for line in changed if line[0] == sign) for sign in "-+")
    noticed = result.test_outcome != TestOutcome.SURVIVED
    return Tried(module, mutation.start_pos[0], mutation.definition_name or "", was, became, noticed)


def _key(one: Tried) -> tuple[str, str, str]:
    return str(one.module.path.relative_to(PACKAGE)), one.was, one.became


def _reasons() -> dict[tuple[str, str, str], str]:
    """Why no test can notice a fault: (module, line as it is, line with the fault) -> reason."""
    known = tomllib.loads((ROOT / "tests" / "survivors.toml").read_text(encoding="utf-8"))
    return {(one["module"], one["was"], one["became"]): one["reason"] for one in known.get("survivor", [])}
