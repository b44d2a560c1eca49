"""The text that scikit-learn brings: the same bytes wherever the locked version is installed."""

import hashlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from precisionflow.data.sources import scikit_learn_text
from precisionflow.data.sources.scikit_learn_text import docstrings, open_scikit_learn_text

LOCK = Path(__file__).parents[3] / "constraints.txt"
SHA256 = "8bad13679d16ea87bcfb28c30fd007d202356c351c905515fcb4d9cb3617df21"
"""Of the text in the locked version: another one is another data set."""


def test_the_locked_version_has_the_known_text() -> None:
    assert f"scikit-learn=={version('scikit-learn')}" in LOCK.read_text().splitlines()
    text = open_scikit_learn_text()
    whole = b"".join(text.chunks()).decode()
    assert text.sha256 == hashlib.sha256(whole.encode()).hexdigest() == SHA256
    assert (len(whole), len(set(whole))) == (475_764, 101)


def test_nothing_of_the_package_is_imported() -> None:
    program = (
        "import sys; from precisionflow.data.sources.scikit_learn_text import open_scikit_learn_text;"
        "open_scikit_learn_text(); print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_texts_come_in_the_order_of_paths_and_lines_and_each_once(tmp_path, monkeypatch) -> None:
    files = {
        "datasets/descr/wine.rst": "Wine.",
        "datasets/descr/iris.rst": "Iris.",
        "mixture/b.py": 'class B:\n    """B\n\n        says é.\n    """\n\n    def f(self):\n        "Twice."\n',
        "mixture/a/z.py": '"""Module."""\ndef g():\n    async def h():\n        """Inside."""\n    return h\n',
        "mixture/tests/t.py": '"""Tests are left out."""\n',
        "linear_model/l.py": 'def f():\n    "Twice."\n\ndef g():\n    " "\n',
        "gaussian_process/__init__.py": "",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.setattr(scikit_learn_text, "_package", lambda: tmp_path)
    whole = b"".join(open_scikit_learn_text().chunks()).decode()
    assert whole == "Iris.\nWine.\nTwice.\nModule.\nInside.\nB\n\nsays é."


def test_a_docstring_is_what_stands_in_the_source() -> None:
    source = 'def f():\n    r"""First \\d.\n\n\tTabbed.\n      Deeper.\n    """\n    "No docstring."\n'
    assert list(docstrings(source)) == ["First \\d.\n\nTabbed.\nDeeper."]
