"""Destinations of a run: a results folder of this machine or KFP's artifacts; what MLflow gets there at which stage."""

import contextlib
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from precisionflow.ablation.design import expand
from precisionflow.cluster.access.names import WORKSPACE
from precisionflow.config import Experiment, to_yaml
from precisionflow.records.files import write_text
from precisionflow.results.code import trusting_code
from precisionflow.results.layout import Reported, Results, variant_folder
from precisionflow.results.locks import turn


@dataclass(frozen=True)
class Outputs:
    """Folders that the tasks of a run have filled until its report is written."""

    data: Path
    models: Sequence[Path]
    """Of every variant, in their order."""
    evaluations: Sequence[Path]
    aggregate: Path
    report: Path


@dataclass(frozen=True)
class LocalResults:
    """A results folder of this machine; MLflow gets all of it at once, in one process: cells while the report is
    written, the rest after it.
    """

    results: Results
    trusts_code: bool = False
    """Whether finished results of other code are kept."""

    def __str__(self) -> str:
        """`folder:/path`, or `trusted-folder:/path`: the destination as an argument of KFP."""
        return f"{_TRUSTED if self.trusts_code else _FOLDER}{self.results.folder}"

    def code(self) -> AbstractContextManager[None]:
        """Which code may have made what is finished."""
        return trusting_code(self.trusts_code)

    def data(self, _artifact: Path) -> Path:
        """Output of prepare."""
        return self.results.data

    def models(self, _artifact: Path) -> Path:
        """Output of train: a room of variants."""
        return self.results.models

    def training(self, variant: Experiment, *, data: Path, artifact: Path) -> AbstractContextManager[Path]:  # noqa: ARG002 - a folder of results is the only place
        """Folder in which train works: where its output has the variant."""
        return contextlib.nullcontext(self.results.model(variant))

    @property
    def keeps_lost(self) -> bool:
        """A cell whose rank is killed has failed: nobody tries it again by itself."""
        return True

    def evaluations(self, _artifact: Path) -> Path:
        """Output of evaluate: a room of variants."""
        return self.results.evaluations

    def aggregate(self, _artifact: Path) -> Path:
        """Output of aggregate."""
        return self.results.aggregate

    def report(self, _artifact: Path) -> Path:
        """Output of report."""
        return self.results.report

    def search(self, _artifact: Path) -> Path:
        """Output of launch_search."""
        return self.results.search

    def page(self, report: Path, _artifact: Path) -> Path:
        """The page is shown where report made it."""
        return Reported(report).page

    def keep(self, experiment: Experiment) -> None:
        """Write a resolved experiment to the folder: the report and a later `track` read it from there."""
        write_text(to_yaml(experiment), self.results.experiment(experiment.name))

    def turn(self) -> AbstractContextManager[None]:
        """Trainings on ranks take turns: two at once on the cores of one machine wait for each other's ranks at every
        step, and need twice the memory.
        """
        return turn(self.results.folder)

    def after_evaluate(
        self,
        variant: Experiment,
        *,
        experiments: Sequence[Experiment],
        data: Path,
        model: Path,
        evaluation: Path,
    ) -> None:
        """Nothing: `after_register` uploads the cells."""

    def after_report(self, experiments: Sequence[Experiment], made: Outputs) -> None:
        """Nothing: `after_register` uploads table and page."""

    def after_register(self, experiments: Sequence[Experiment], *, evaluations: Sequence[Path]) -> None:  # noqa: ARG002 - everything is there, in the folder
        """Everything: cells, table, page, and the registry with what passes the gate."""
        from precisionflow.tracking.track import track_folder

        track_folder(self.results.folder)


@dataclass(frozen=True)
class ClusterArtifacts:
    """KFP's artifacts on a cluster; MLflow's server gets from each task what this task made."""

    workspace: Path = Path(WORKSPACE)
    """Where pods that train find the claim that outlives them, if they mount it."""

    def __str__(self) -> str:
        """`kfp`: the destination as an argument of KFP."""
        return _KFP

    def code(self) -> AbstractContextManager[None]:
        """KFP's cache decides what is finished, by the image."""
        return trusting_code(False)

    def data(self, artifact: Path) -> Path:
        """Output of prepare."""
        return artifact

    def models(self, artifact: Path) -> Path:
        """Output of train: a room of variants."""
        return artifact

    def training(self, variant: Experiment, *, data: Path, artifact: Path) -> AbstractContextManager[Path]:
        """Folder in which train works: in the workspace, where checkpoints and weights outlive the pod."""
        from precisionflow.cluster.workspace.trainings import Training

        return Training(variant, data, self.workspace).in_this_pod(variant_folder(artifact, variant))

    @property
    def keeps_lost(self) -> bool:
        """KFP tries a task again whose rank is killed."""
        return False

    def evaluations(self, artifact: Path) -> Path:
        """Output of evaluate: a room of variants."""
        return artifact

    def aggregate(self, artifact: Path) -> Path:
        """Output of aggregate."""
        return artifact

    def report(self, artifact: Path) -> Path:
        """Output of report, in a folder of its own beside the list of the run's artifacts."""
        return artifact / "report"

    def search(self, artifact: Path) -> Path:
        """Output of launch_search."""
        return artifact

    def page(self, report: Path, artifact: Path) -> Path:
        """KFP shows a copy of the page."""
        shutil.copyfile(Reported(report).page, artifact)
        return artifact

    def keep(self, experiment: Experiment) -> None:
        """Nothing: a resolved experiment goes on as the task's output."""

    def turn(self) -> AbstractContextManager[None]:
        """Every training has a pod of its own."""
        return contextlib.nullcontext()

    def after_evaluate(
        self,
        variant: Experiment,
        *,
        experiments: Sequence[Experiment],
        data: Path,
        model: Path,
        evaluation: Path,
    ) -> None:
        """The cells of the variant, under its experiment among `experiments`."""
        from precisionflow.tracking.track import track_cells

        whole = next(experiment for experiment in experiments if experiment.name == variant.name)
        track_cells(variant, data=data, model=model, evaluation=evaluation, store=None, whole=whole)

    def after_report(self, experiments: Sequence[Experiment], made: Outputs) -> None:
        """Table and page, after the cells that MLflow lacks: it was away while they were evaluated, in this run or in
        an earlier one whose evaluations KFP has taken from its cache.
        """
        from precisionflow.tracking.track import track_report

        variants = [variant.experiment for whole in experiments for variant in expand(whole)]
        for variant, model, evaluation in zip(variants, made.models, made.evaluations, strict=True):
            of_cells = {"data": made.data, "model": model, "evaluation": evaluation}
            self.after_evaluate(variant, experiments=experiments, **of_cells)
        track_report(experiments, aggregate=made.aggregate, report=made.report, store=None)

    def after_register(self, experiments: Sequence[Experiment], *, evaluations: Sequence[Path]) -> None:
        """The registry, with what passes the gate."""
        from precisionflow.tracking.registry import register_models

        register_models(experiments, evaluations=evaluations, store=None)

    def after_finish(self, experiments: Sequence[Experiment], *, state: str, cause: str) -> None:
        """How the pipeline ended."""
        from precisionflow.tracking.track import track_end

        track_end(experiments, state=state, cause=cause)


Destination = LocalResults | ClusterArtifacts

_FOLDER, _TRUSTED, _KFP = "folder:", "trusted-folder:", "kfp"


def destination_of(argument: str) -> Destination:
    """The destination that an argument of KFP names; ValueError where it names none."""
    if argument == _KFP:
        return ClusterArtifacts()
    for prefix in (_FOLDER, _TRUSTED):
        path = argument.removeprefix(prefix)
        if path and argument.startswith(prefix):
            return LocalResults(Results(Path(path)), trusts_code=prefix == _TRUSTED)
    raise ValueError(
        f"destination {argument!r}: should be {_KFP}, for the artifacts of Kubeflow Pipelines, or {_FOLDER}PATH, for a "
        "results folder on this machine"
    )
