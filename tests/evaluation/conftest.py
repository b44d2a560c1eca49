"""Fixtures of the evaluation tests."""

from collections.abc import Iterator

import jaxtyping
import pytest
from trained import CONTEXT, TABLE, TEXT, Trained, trained


@pytest.fixture
def production() -> Iterator[None]:
    """Shape annotations go unchecked, as for users: the code itself has to refuse a wrong shape."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(TABLE, tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="session")
def one_noise(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The same with one precision for all rows."""
    changes = {"objective.kind": "homoscedastic", "seeds": [0], "splits": [0]}
    return trained(TABLE, tmp_path_factory.mktemp("one-noise"), **changes)


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("text")
    source = folder / "text.txt"
    source.write_text("".join(f"{n} and {n * n}; " for n in range(300)), encoding="utf-8")
    task = {"kind": "next_token", "source": {"kind": "text_file", "path": str(source)}, "context": CONTEXT}
    return trained(TEXT | {"task": task}, folder)
