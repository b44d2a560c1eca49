"""Compiling every pipeline to KFP's YAML."""

from pathlib import Path

from kfp import compiler
from precisionflow.pipelines.ablation import ablation
from precisionflow.pipelines.experiment import experiment

PIPELINES = {"ablation": ablation, "experiment": experiment}


def compile_all(folder: Path) -> list[Path]:
    """Write `<name>.yaml` for every pipeline; the same code gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, pipeline in PIPELINES.items():
        files.append(folder / f"{name}.yaml")
        compiler.Compiler().compile(pipeline, str(files[-1]))
    return files
