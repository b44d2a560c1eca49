"""English text out of scikit-learn's files: the same for every Python, since the lock pins the package."""

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from precisionflow.data.text import CHUNK, Text

DESCRIPTIONS = "datasets/descr"
DOCUMENTED = ("gaussian_process", "linear_model", "mixture")
"""Folders of the package whose docstrings are read."""


def open_scikit_learn_text() -> Text:
    """Its descriptions of data sets, then the docstrings in `DOCUMENTED`; a line break between two texts.

    Files come in the order of their paths, docstrings in the order of their lines; a text that stands there twice is
    read once, and test folders, which the images leave out, are not read. Nothing of the package is imported.
    """
    whole = "\n".join(dict.fromkeys(_texts(_package())))

    def chunks(first: int = 0) -> Iterator[bytes]:
        return (whole[start : start + CHUNK].encode() for start in range(first * CHUNK, len(whole), CHUNK))

    return Text("the text in scikit-learn", hashlib.sha256(whole.encode()).hexdigest(), chunks)


def _package() -> Path:
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None, "scikit-learn is a dependency"
    assert spec.origin is not None, "scikit-learn is a folder with files"
    return Path(spec.origin).parent


def _texts(package: Path) -> Iterator[str]:
    for file in sorted((package / DESCRIPTIONS).glob("*.rst")):
        yield file.read_text(encoding="utf-8")
    for folder in DOCUMENTED:
        files = sorted(
            (package / folder).rglob("*.py"), key=lambda file: file.relative_to(package).as_posix()
        )
        for file in files:
            if "tests" not in file.relative_to(package).parts:
                yield from docstrings(file.read_text(encoding="utf-8"))


def docstrings(source: str) -> Iterator[str]:
    """Every docstring of a module in the order of their lines, each line without the blanks around it.

    It is the literal as it stands in the source: what Python makes of its indentation differs between versions.
    """
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text and not text.isspace():
                found.append((node.body[0].lineno, text))
    for _, text in sorted(found):
        yield "\n".join(line.strip() for line in text.strip().splitlines())
