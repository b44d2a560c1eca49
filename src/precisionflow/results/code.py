"""Code of a stage: a digest of the modules that it can reach, so that edited code never passes for old results."""

import contextlib
import functools
import hashlib
import re
import subprocess
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Literal

from precisionflow import __version__

Verb = Literal["prepare", "train", "evaluate", "aggregate", "report"]
STAGES: dict[Verb, str] = {
    "prepare": "precisionflow.data.prepare",
    "train": "precisionflow.training.train",
    "evaluate": "precisionflow.evaluation.evaluate",
    "aggregate": "precisionflow.ablation.aggregate",
    "report": "precisionflow.report.page",
}
"""Module of each stage."""
_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+(?P<package>precisionflow[\w.]*)[ \t]+"
    rb"import[ \t]*(?P<names>\((?:[^()#]|#[^\n]*)*\)|[^\n#;]*)"
    rb"|import[ \t]+(?P<modules>precisionflow[^\n#;]*))",
    re.MULTILINE,
)
_COMMENT = re.compile(rb"#[^\n]*")
_NAME = re.compile(rb"([\w.]+)(?:\s+as\s+\w+)?\s*(?:,|\)|$)")


PACKAGE = Path(__file__).parents[1]


@functools.cache
def code_digest(verb: Verb, *, package: Path = PACKAGE) -> str:
    """sha256 (12 hexadecimal digits) of the source that a stage can reach, by `reached_files`.

    A function of the files' names and bytes alone: a laptop, a pod, a wheel and every Python give the same.
    ValueError where the package is installed without its source.
    """
    found = hashlib.sha256()
    for name, file in sorted(reached_files(STAGES[verb], package=package).items()):
        found.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()[:12]


def code_version(verb: Verb) -> str:
    """Version of the package and digest of the stage's code, such as 0.1.0+1f0c5a3b9d2e."""
    return f"{__version__}+{code_digest(verb)}"


@functools.cache
def code_commit() -> str | None:
    """Commit of the checkout that this package runs from, with -dirty where it has changes; none if installed."""
    root = PACKAGE.parents[1]
    if not (root / ".git").exists():
        return None
    words = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()


def reached_files(module: str, *, package: Path = PACKAGE) -> dict[str, Path]:
    """Path inside `package` -> file, of all that a module of it may run or read.

    These are the module, the modules that these import at any place (in functions and for types too), the packages
    around them, and the files beside these packages' modules that are no code, such as templates.
    """
    files: dict[str, Path] = {}
    seen, waiting = set[str](), [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        file = _file_of(name, package)
        if file is None:
            continue
        beside = _no_code(file.parent) if file.name == "__init__.py" else []
        files |= {path.relative_to(package).as_posix(): path for path in [file, *beside]}
        waiting += [*imported(file.read_bytes()), name.rpartition(".")[0]]
    if module not in seen or _file_of(module, package) is None:
        raise ValueError(f"{package}: holds no source of {module}; install precisionflow with its source")
    return files


def imported(source: bytes) -> set[str]:
    """Names in the package that a source imports; some are of modules, others of what a module holds."""
    found = set[bytes]()
    for statement in _IMPORT.finditer(source):
        if within := statement["package"]:
            names = _NAME.findall(_COMMENT.sub(b"", statement["names"]))
            found |= {within, *(within + b"." + name for name in names)}
        else:
            found |= set(_NAME.findall(statement["modules"]))
    return {name.decode() for name in found}


def _file_of(name: str, package: Path) -> Path | None:
    """File of a module; none for a name that is no module of this package."""
    path = package.joinpath(*name.split(".")[1:])
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _no_code(folder: Path) -> list[Path]:
    return [
        file
        for file in folder.iterdir()
        if file.is_file() and file.suffix not in (".py", ".pyc", ".typed") and not file.name.startswith(".")
    ]


_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


@contextlib.contextmanager
def trusting_code(trusted: bool) -> Iterator[None]:
    """Inside the block results of the same inputs count as finished whatever code made them, where `trusted`."""
    token = _trusted.set(trusted)
    try:
        yield
    finally:
        _trusted.reset(token)


def code_is_trusted() -> bool:
    """Whether this is inside a block of `trusting_code`."""
    return _trusted.get()
