"""Studies in files: every shipped one is valid, and a file that holds none is refused in one line."""

import re
from pathlib import Path

import pytest

from precisionflow.config.base import ConfigError
from precisionflow.search.algorithms.settings import SETTINGS
from precisionflow.search.read import read_study
from tests.search.shipped import FOLDER

SHIPPED = {file.stem: read_study(file) for file in sorted(FOLDER.glob("*.yaml"))}
DOCUMENT = (FOLDER.parent / "docs/search.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_study_is_valid_and_named_like_its_file(name: str) -> None:
    assert SHIPPED[name].name == name


def test_the_shipped_studies_use_every_algorithm() -> None:
    specs = [study.spec for study in SHIPPED.values()]
    assert {spec.algorithm.name for spec in specs} == set(SETTINGS)
    assert {spec.template.resource["kind"] for spec in specs} == {"Job", "TrainJob"}
    assert any(spec.stopping for spec in specs)


def test_the_document_lists_the_shipped_studies_and_their_algorithms() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| [^|]+ \| `([a-z-]+)`(, medianstop)? \|$", DOCUMENT, re.MULTILINE)
    listed = {name: (algorithm, bool(stops)) for name, algorithm, stops in rows}
    assert listed == {
        name: (study.spec.algorithm.name, study.spec.stopping is not None) for name, study in SHIPPED.items()
    }


def test_files_that_hold_no_study_are_refused(tmp_path: Path) -> None:
    for content, said in (
        ("- 1", "study.yaml: is a list; it should be a mapping with the keys apiVersion, kind"),
        ("a: [", "not valid YAML"),
        ("kind: Job\nkind: Job", "key 'kind' stands twice"),
        ("kind: Job", "missing"),
    ):
        file = tmp_path / "study.yaml"
        file.write_text(content, encoding="utf-8")
        with pytest.raises(ConfigError, match=said):
            read_study(file)
    with pytest.raises(ConfigError, match="does not exist; the shipped studies are in katib/"):
        read_study(tmp_path / "none.yaml")
