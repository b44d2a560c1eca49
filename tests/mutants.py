"""Modules that get faults, the tests that look at them, and what came of it: the share noticed, and the survivors."""

import hashlib
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult

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
BAR = 0.9
"""Least share of faults that tests notice."""
SILENT = re.compile(
    r"core/(ExceptionReplacer|RemoveDecorator"
    r"|ReplaceBinaryOperator_(BitOr_\w+|\w+_(RShift|LShift|BitOr|BitAnd|BitXor|FloorDiv|Mod))"
    r"|ReplaceComparisonOperator_((Is|IsNot)_(?!Is)\w+|(?!Is)\w+_(Is|IsNot)))"
)
"""Operators of Cosmic Ray that change no number, raise a TypeError at once, or do what another one does."""


NO_NUMBER = re.compile(r"\*\s*,|[!=]=\s*[\"']|if (not )?TYPE_CHECKING|@dataclass")
"""Source at which a fault changes no number: keyword-only stars, words in order, imports, frozen classes."""


def silent(item: WorkItem, lines: Sequence[str]) -> bool:
    """Whether a fault in a module of these lines changes no number."""
    (mutation,) = item.mutations
    row, column = mutation.start_pos
    here = lines[row - 1]
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
        """The test file of its name first, then the others of the nearest folder that has some."""
        folder = Path("tests", *self.path.parts[2:-1])
        while not (around := sorted(folder.glob("test_*.py"))):
            folder = folder.parent
        own = Path("tests", *self.path.parts[2:-1], f"test_{self.path.stem}.py")
        return sorted(around, key=lambda test: test != own)

    @property
    def session(self) -> str:
        """Name of the file that keeps what was tried: of other content, nothing has been."""
        read = hashlib.sha256(f"{SILENT.pattern}{NO_NUMBER.pattern}".encode())
        for file in (self.path, *self.tests):
            read.update(file.read_bytes())
        return f"{'.'.join(self.path.with_suffix('').parts[2:])}-{read.hexdigest()[:12]}.sqlite"


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


def write(out: Path, sessions: Path) -> None:
    """Write `summary.json` and `survivors.md` from the sessions of the modules and tests as they are."""
    tried = list(_tried(sessions))
    reasons = _reasons()
    rows = []
    for room in dict.fromkeys(one.module.room for one in tried):
        of_room = [one for one in tried if one.module.room == room]
        explained = sum(not one.noticed and _key(one) in reasons for one in of_room)
        counted = len(of_room) - explained
        noticed = sum(one.noticed for one in of_room)
        share = noticed / counted if counted else 1.0
        measure = f"faults in {room} that tests notice ({noticed} of {counted}, {explained} change nothing)"
        held = {"bar": BAR, "holds": share >= BAR}
        rows.append({"measure": measure, "value": round(share, 4), "unit": "share", **held})
    (out / "summary.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    lines = ["| module | line | function | was | became | reason |", "|---|---|---|---|---|---|"]
    for one in tried:
        if not one.noticed:
            cells = (one.module.path.relative_to(PACKAGE), one.line, one.function, one.was, one.became)
            texts = [str(cell).replace("|", "\\|") for cell in (*cells, reasons.get(_key(one), ""))]
            lines.append(f"| {' | '.join(texts)} |")
    (out / "survivors.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for row in rows:
        print(f"{row['measure']}: {row['value']:.1%}", flush=True)


def _tried(sessions: Path) -> Iterator[Tried]:
    for module in modules([folder for folder in sorted(os.listdir(PACKAGE)) if (PACKAGE / folder).is_dir()]):
        if not (sessions / module.session).exists():
            continue
        with use_db(str(sessions / module.session), WorkDB.Mode.open) as kept:
            for item, result in kept.completed_work_items:
                if result.worker_outcome == WorkerOutcome.NORMAL:
                    yield _of(module, item, result)


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
