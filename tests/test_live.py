"""The tests that need a cluster: without one they are at least found."""

import importlib
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parent / "live").glob("*.py"))


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_their_names_are_there(name: str) -> None:
    assert importlib.import_module(f"tests.live.{name}").__doc__
