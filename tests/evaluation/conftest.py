"""Fixtures of the evaluation tests."""

from collections.abc import Iterator

import jaxtyping
import pytest


@pytest.fixture
def production() -> Iterator[None]:
    """Shape annotations go unchecked, as for users: the code itself has to refuse a wrong shape."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
