"""Installation by make: a virtual environment belongs to one checkout and what it locks; nothing is installed here."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
PYTHON = """#!/bin/sh
case "$1 $2" in
"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip") echo "$PWD" "$*" >>"$LOG" ;;
esac
"""
"""Stands for Python: makes environments that hold nothing but itself, and notes what pip is asked for."""


@pytest.fixture
def checkouts(tmp_path: Path) -> list[Path]:
    """Two checkouts, beside a Python that only notes what it is told."""
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    folders = [tmp_path / name for name in ("first clone", "second")]
    for folder in folders:
        folder.mkdir()
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, folder)
    return folders


def installs(checkout: Path, **variables: str) -> list[str]:
    """Where `make install` installs the checkout itself; nothing where it finds it installed."""
    log = checkout.parent / "log"
    log.write_text("")
    words = [f"{name}={value}" for name, value in variables.items()]
    subprocess.run(
        ["make", "--silent", "install", f"PYTHON={checkout.parent}/python", *words],
        cwd=checkout,
        env={"PATH": "/usr/bin:/bin", "LOG": str(log)},
        check=True,
    )
    return [line for line in log.read_text().splitlines() if "--editable .[dev]" in line]


def test_a_checkout_is_installed_once(checkouts: list[Path]) -> None:
    first, _ = checkouts
    assert [line.startswith(f"{first} ") for line in installs(first)] == [True]
    assert installs(first) == []


def test_an_environment_of_another_checkout_is_made_that_of_this_one(checkouts: list[Path]) -> None:
    """Whatever the times of the files: both checkouts are as old as each other."""
    first, second = checkouts
    shared = str(first.parent / "shared")
    for checkout in (first, second, first):
        assert len(installs(checkout, VENV=shared)) == 1
        assert installs(checkout, VENV=shared) == []


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_what_is_locked_anew_is_installed_anew(checkouts: list[Path], name: str) -> None:
    first, _ = checkouts
    installs(first)
    (first / name).write_text((first / name).read_text() + "# another\n")
    assert len(installs(first)) == 1


def test_an_installation_that_failed_is_done_again(checkouts: list[Path]) -> None:
    first, _ = checkouts
    installs(first)
    (first / "constraints.txt").write_text("none\n")
    with pytest.raises(subprocess.CalledProcessError):
        installs(first, PYTHON="false")
    assert len(installs(first)) == 1


def test_the_bill_of_materials_of_train_is_of_the_lock_that_it_was_built_from() -> None:
    for given, lock in ((), "$lock"), (("REQUIREMENTS=other.txt",), "other.txt"):
        done = subprocess.run(
            ["make", "--dry-run", "sbom", *given],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"if [ $image = train ]; then lock={lock}; fi" in done.stdout
