"""Provenance: one command that makes the numbers again, and the commit of what made them."""

import re

import pytest

from precisionflow.report.cells import Mark, commits, machines, seconds, versions
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


def test_data_machine_versions_and_time_are_told(results: Results) -> None:
    context = provenance.section(material(results, 0)).context
    assert all(re.fullmatch(r"\S+ \w{1,12}(, \w{1,12})*", line) for line in context["data"])
    assert context["versions"][0].startswith("Python 3.")
    assert re.fullmatch(r"train [\d\u202f]+ s, evaluate [\d\u202f]+ s", context["seconds"])


def test_machines_and_versions_are_counted_where_they_differ() -> None:
    def mark(verb: str, machine: str, of: str, took: float) -> Mark:
        return Mark(verb, "0", None, machine=machine, versions=of, seconds=took)

    marks = [mark("train", "a", "1", 2.0), mark("train", "a", "1", 3.0), mark("evaluate", "b", "2", 0.5)]
    assert (machines(marks), versions(marks)) == (["a"], ["1"])
    assert seconds(marks) == {"train": 5.0, "evaluate": 0.5}
    assert machines([mark("train", "", "2", 1.0), mark("evaluate", "b", "2", 1.0)]) == []
    marks.append(mark("train", "", "2", 1.0))
    assert machines(marks) == ["a (2 runs)", "not told (1 run)"]
    assert versions(marks) == ["1 (2 runs)", "2 (1 run)"]
