"""Digest of a stage's code: what it reaches, what changes it, what does not."""

import ast
import shutil
import time
from pathlib import Path

import pytest

from precisionflow.results.code import (
    PACKAGE,
    STAGES,
    code_digest,
    code_is_trusted,
    code_version,
    imported,
    reached_files,
    trusting_code,
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, to be edited."""
    return shutil.copytree(
        PACKAGE, tmp_path / "elsewhere" / "precisionflow", ignore=shutil.ignore_patterns("__pycache__")
    )


def changed_by(package: Path, file: str, text: str) -> set[str]:
    """Stages whose digest changes when `text` is put at the end of a file."""
    before = {verb: code_digest.__wrapped__(verb, package=package) for verb in STAGES}
    with (package / file).open("a") as opened:
        opened.write(text)
    return {verb for verb in STAGES if code_digest.__wrapped__(verb, package=package) != before[verb]}


def imported_by_the_syntax_tree(source: bytes) -> set[str]:
    names = set[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("precisionflow")}
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("precisionflow"):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_imports_are_those_of_the_syntax_tree() -> None:
    files = [file for file in PACKAGE.rglob("*.py") if "__pycache__" not in file.parts]
    assert len(files) > 200
    for file in files:
        source = file.read_bytes()
        assert imported(source) == imported_by_the_syntax_tree(source), file


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    from precisionflow.report import svg, page as shown  # (why)\n",
        "from precisionflow.report import (\n    svg,  # a drawing (of ours)\n    page as shown,\n)\n",
        "if True:\n\timport precisionflow.report.svg, precisionflow.report.page as page\n",
        "import precisionflow.report.svg as drawing; x = 1\n",
    ],
)
def test_imports_in_any_form_are_found(source: str) -> None:
    wanted = imported_by_the_syntax_tree(source.encode())
    assert imported(source.encode()) == wanted
    assert "precisionflow.report.svg" in wanted


def test_a_stage_reaches_its_own_rooms_alone() -> None:
    def rooms(verb: str) -> set[str]:
        return {name.split("/")[0] for name in reached_files(STAGES[verb])} - {"__init__.py"}

    everywhere = {"config", "records", "results"}
    assert rooms("prepare") == everywhere | {"data"}
    assert rooms("train") == everywhere | {"data", "models", "inference", "training"}
    assert rooms("evaluate") == everywhere | {"data", "models", "inference", "training", "evaluation"}
    assert rooms("aggregate") == everywhere | {"ablation"}
    assert rooms("report") == everywhere | {"data", "ablation", "evaluation", "report"}


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("report/tables.py", {"report"}),
        ("report/page.css", {"report"}),
        ("report/sections/provenance.html.jinja", {"report"}),
        ("ablation/statistics.py", {"aggregate", "report"}),
        ("models/attention/edges.py", {"train", "evaluate"}),
        ("models/likelihoods/objective.py", {"train", "evaluate"}),
        ("training/loop.py", {"train"}),
        ("training/engines/zero.py", {"train"}),
        ("inference/predictive_coding/settle.py", {"train", "evaluate"}),
        ("evaluation/tasks/regression.py", {"evaluate"}),
        ("data/readers/table_file.py", {"prepare", "train"}),  # train: a file of predictions
        ("records/files.py", set(STAGES)),
        ("config/base.py", set(STAGES)),
        ("__init__.py", set(STAGES)),
        ("tracking/runs.py", set()),
        ("cluster/pipelines/fetch.py", set()),
        ("experiments/quickstart-language.yaml", set()),
    ],
)
def test_an_edit_changes_the_stages_that_reach_it(file: str, stages: set[str], package: Path) -> None:
    assert changed_by(package, file, "\n# an edit\n") == stages


def test_what_an_edit_imports_is_reached_too(package: Path) -> None:
    changed_by(package, "training/loop.py", "\ndef f():\n    import precisionflow.report.svg\n")
    assert changed_by(package, "report/svg.py", "\n# an edit\n") == {"train", "report"}


def test_place_and_bytecode_are_no_part_of_it(package: Path) -> None:
    for verb in STAGES:
        assert code_digest.__wrapped__(verb, package=package) == code_digest(verb)
    (package / "report" / "__pycache__").mkdir()
    for left in ("__pycache__/page.cpython-311.pyc", ".page.css.swp", "unused.py"):
        (package / "report" / left).write_text("x")
    assert code_digest.__wrapped__("report", package=package) == code_digest("report")


def test_what_is_reached_of_a_small_package(tmp_path: Path) -> None:
    """A module, what it imports, the packages around it, and their files that are no code."""
    texts = {
        "__init__.py": "",
        "top.css": "x",
        "start.py": "from precisionflow import pages\nfrom precisionflow.deep.low import f\n",
        "pages/__init__.py": "",
        "pages/page.css": "x",
        "pages/.hidden": "x",
        "pages/other.py": "",
        "deep/__init__.py": "",
        "deep/low.py": "",
        "deep/high.py": "",
        "away/__init__.py": "",
        "away/page.css": "x",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    left = {"pages/.hidden", "pages/other.py", "deep/high.py", "away/__init__.py", "away/page.css"}
    found = reached_files("precisionflow.start", package=tmp_path)
    assert found == {name: tmp_path / name for name in texts.keys() - left}


def test_it_is_quick() -> None:
    start = time.process_time()
    code_digest.__wrapped__("evaluate")
    assert time.process_time() - start < 0.1


def test_without_source_it_says_so(package: Path) -> None:
    (package / "training" / "train.py").unlink()
    with pytest.raises(ValueError, match=r"no source of precisionflow\.training\.train; install"):
        code_digest.__wrapped__("train", package=package)


def test_the_version_names_the_code() -> None:
    assert code_version("train") == f"0.1.0+{code_digest('train')}"


def test_trust_ends_with_its_block() -> None:
    assert not code_is_trusted()
    with trusting_code(True):
        assert code_is_trusted()
        with trusting_code(False):
            assert not code_is_trusted()
        assert code_is_trusted()
    assert not code_is_trusted()
