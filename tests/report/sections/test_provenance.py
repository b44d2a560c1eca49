"""Provenance: one command that makes the numbers again, and the commit of what made them."""

import pytest

from precisionflow.report.cells import Mark, commits
from precisionflow.report.sections import provenance
from tests.report.conftest import Results
from tests.report.test_article import material


def test_the_command_names_a_file_where_the_experiment_is_not_shipped(results: Results) -> None:
    context, name = provenance.section(material(results, 0)).context, results.experiments[0].name
    assert context["command"] == f"precisionflow run {name}.yaml --out runs/{name}"
    assert context["file"] == f"{name}.yaml"


@pytest.mark.parametrize(
    ("marks", "said"), [(["b", "a", "a"], "a, b"), (["a", None], "a, none"), ([None], "none")]
)
def test_every_commit_is_told(marks: list[str | None], said: str) -> None:
    assert commits(Mark("train", "0", None, mark) for mark in marks) == said
