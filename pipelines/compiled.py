"""Compiling every pipeline to KFP's YAML."""

from collections.abc import Collection, Mapping
from pathlib import Path

from kfp import compiler
from kfp.compiler.compiler_utils import KubernetesManifestOptions
from precisionflow.pipelines.ablation import ablation
from precisionflow.pipelines.experiment import experiment
from precisionflow.pipelines.search_then_train import search_then_train, search_then_train_on_cluster
from precisionflow.pipelines.serve_champion import serve_champion
from precisionflow.pipelines.tune_then_train import tune_then_train_on_cluster

from precisionflow.cluster.access import names
from precisionflow.config import Experiment, digest
from precisionflow.search.study import Study

PIPELINES = {
    "ablation": ablation,
    "experiment": experiment,
    "search-then-train": search_then_train,
    "serve-champion": serve_champion,
}


def compile_all(folder: Path) -> list[Path]:
    """Write `<name>.yaml` for every pipeline; the same code gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, pipeline in PIPELINES.items():
        files.append(folder / f"{name}.yaml")
        compiler.Compiler().compile(pipeline, str(files[-1]))
    return files


def compile_experiment(
    experiment: Experiment,
    *,
    images: Mapping[str, str],
    folder: Path,
    mlflow: Collection[str] = names.MLFLOW_ALL,
    files: Mapping[str, str] | None = None,
    manifests: bool = False,
    study: Study | None = None,
) -> Path:
    """Write `<experiment>.yaml`, the pipeline as it is submitted; the same experiment gives the same bytes.

    With a `study` or tuned axes it searches before it trains. `mlflow` are the variables that the namespace has values
    for. `files` are the digests of raw files of an experiment that does not search; without them the run finds them. As
    `manifests` it is the resources Pipeline and PipelineVersion, for a repository that a cluster follows.
    """
    from precisionflow.pipelines.on_cluster import on_cluster

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{experiment.name}.yaml"
    if study is None and experiment.ablation.tuned:
        pipeline = tune_then_train_on_cluster(experiment, images=images, mlflow=mlflow)
    elif study is None:
        pipeline = on_cluster(experiment, images=images, mlflow=mlflow, files=files)
    else:
        pipeline = search_then_train_on_cluster(study, experiment, images=images, mlflow=mlflow)
    compiler.Compiler().compile(pipeline, str(file))
    if manifests:
        version = version_of(file)
        options = KubernetesManifestOptions(
            pipeline_name=experiment.name,
            pipeline_version_name=f"{experiment.name}-{version}",
            pipeline_version_display_name=version,
            include_pipeline_manifest=True,
        )
        compiler.Compiler().compile(
            pipeline, str(file), kubernetes_manifest_options=options, kubernetes_manifest_format=True
        )
    return file


def version_of(file: Path) -> str:
    """What this version of a compiled pipeline is called: by its content."""
    return digest(file.read_text(encoding="utf-8"))
