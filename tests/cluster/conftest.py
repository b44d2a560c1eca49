"""Invented clusters for the tests of what talks to one; tests/live asks a real one."""

from collections.abc import Iterator

import pytest

from tests.invented_cluster import Table


@pytest.fixture
def table() -> Iterator[Table]:
    """An API server that knows nothing until a test fills its table."""
    made = Table()
    with made.running():
        yield made
