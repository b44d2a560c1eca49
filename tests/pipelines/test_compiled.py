"""Components and compiled pipelines: small, in the five verbs, and the same bytes as in manifests/compiled."""

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from precisionflow.components.images import CORE, TRAIN
from precisionflow.pipelines.compiled import PIPELINES, compile_all

from tests.command_line import Line

ROOT = Path(__file__).parents[2]
IMAGES = {
    "prepare": CORE,
    "train": TRAIN,
    "evaluate": TRAIN,
    "aggregate": CORE,
    "report": CORE,
    "register": CORE,
}
"""Of the verbs and of `register`: the tasks of an ablation."""
SERVING = {"serve_champion": CORE}
SEARCHING = {"launch_search": CORE, "resolve": CORE}
TUNING = ("merge",)
"""Of a pipeline that is compiled for one experiment alone."""
ON_A_CLUSTER = ("identify", "launch_trainjob", "finish")
"""Components of a cluster alone."""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    compile_all(folder)
    return folder


def specification(compiled: Path, name: str) -> dict[str, Any]:
    """Without what a second document asks of Kubernetes."""
    return next(yaml.safe_load_all((compiled / f"{name}.yaml").read_text(encoding="utf-8")))


def test_the_checked_in_files_are_what_compiling_gives(compiled: Path) -> None:
    kept = ROOT / "manifests" / "compiled"
    files = sorted(path.name for path in compiled.iterdir())
    assert (
        files
        == sorted(path.name for path in kept.iterdir())
        == [f"{name}.yaml" for name in sorted(PIPELINES)]
    )
    for file in files:
        assert (kept / file).read_bytes() == (compiled / file).read_bytes(), "say `make compile`"


def test_compiling_twice_gives_the_same_bytes(compiled: Path, line: Line) -> None:
    code, out, err = line("compile", "--out", "again")
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"again/{name}.yaml" for name in PIPELINES]
    for path in compiled.iterdir():
        assert Path("again", path.name).read_bytes() == path.read_bytes()


def test_compiling_into_a_file_is_a_mistake(line: Line) -> None:
    Path("file").write_text("x")
    assert line.fails("compile", "--out", "file").startswith("file: File exists; mend that")


@pytest.mark.parametrize("verb", [*IMAGES, *SEARCHING, *SERVING, *TUNING, *ON_A_CLUSTER])
def test_a_component_has_at_most_five_statements(verb: str) -> None:
    tree = ast.parse((ROOT / "components" / f"{verb}.py").read_text(encoding="utf-8"))
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    assert function.name == verb
    assert ast.get_docstring(function)
    statements = [node for node in ast.walk(function) if isinstance(node, ast.stmt)]
    own = [node for node in statements if not isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef)]
    assert len(own) - 1 <= 5, "beside the docstring"


@pytest.mark.parametrize("verb", [*IMAGES, *SEARCHING, *SERVING, *TUNING, *ON_A_CLUSTER])
def test_a_component_describes_itself_and_its_arguments(verb: str) -> None:
    component = getattr(importlib.import_module(f"precisionflow.components.{verb}"), verb)
    content = component.component_spec
    assert content.description
    documented = re.findall(r"^ +(\w+): ", component.python_func.__doc__, re.MULTILINE)
    assert sorted(documented) == sorted({**content.inputs, **(content.outputs or {})})


def test_task_names_are_the_verbs(compiled: Path) -> None:
    tasks: dict[str, list[str]] = {}
    for name in PIPELINES:
        content = specification(compiled, name)
        dags = [content["root"]["dag"]] + [c["dag"] for c in content["components"].values() if "dag" in c]
        tasks[name] = [task for dag in dags for task in dag["tasks"] if not task.startswith("for-loop-")]
    assert sorted(tasks["ablation"]) == sorted(IMAGES)
    assert sorted(tasks["experiment"]) == ["evaluate", "prepare", "train"]
    searching = [task.replace("-", "_") for task in tasks["search-then-train"] if task != "ablation"]
    assert sorted(searching) == sorted({**IMAGES, **SEARCHING})
    assert tasks["serve-champion"] == ["serve-champion"]


@pytest.mark.parametrize("name", sorted(PIPELINES))
def test_images_and_what_runs_in_them(name: str, compiled: Path) -> None:
    content = specification(compiled, name)
    for label, executor in content["deploymentSpec"]["executors"].items():
        container = executor["container"]
        assert (
            container["image"]
            == (IMAGES | SEARCHING | SERVING)[label.removeprefix("exec-").replace("-", "_")]
        )
        program = "\n".join(container["command"])
        assert "pip install" not in program
        assert "kfp.dsl.executor_main" in program
    assert content["pipelineInfo"]["name"] == name
    assert content["pipelineInfo"]["description"]


@pytest.mark.parametrize("name", sorted(PIPELINES))
def test_nothing_of_this_machine_is_compiled_in(name: str, compiled: Path) -> None:
    text = (compiled / f"{name}.yaml").read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert str(Path.home()) not in text.replace("program_path", "")


def test_a_variant_is_trained_and_evaluated_before_anything_is_aggregated(compiled: Path) -> None:
    content = specification(compiled, "ablation")
    tasks = content["root"]["dag"]["tasks"]
    (loop,) = (name for name in tasks if name.startswith("for-loop-"))
    assert tasks[loop]["dependentTasks"] == ["prepare"]
    assert tasks["aggregate"]["dependentTasks"] == [loop, "prepare"]
    assert sorted(tasks["report"]["dependentTasks"]) == sorted(["aggregate", loop, "prepare"])
