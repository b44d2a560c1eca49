"""A pipeline equipped for a cluster: images, resources, scheduling, patience and secrets of one experiment."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from kfp import dsl, kubernetes
from kfp.dsl.graph_component import GraphComponent
from precisionflow.components.finish import finish
from precisionflow.components.identify import identify
from precisionflow.components.images import NAMES
from precisionflow.components.launch_trainjob import launch_trainjob
from precisionflow.components.train import train
from precisionflow.pipelines.ablation import Equip, wire
from precisionflow.pipelines.argument_size import refuse_too_long

from precisionflow import stages
from precisionflow.ablation.groups import groups_of
from precisionflow.arguments import as_argument, experiment_argument
from precisionflow.cluster.access import names
from precisionflow.config import ConfigError, Experiment, resolve
from precisionflow.config.base import without_defaults
from precisionflow.config.cluster import Cluster, Resources
from precisionflow.config.engine import DeepSpeedEngine
from precisionflow.config.external import PredictionFile
from precisionflow.config.places import by_name
from precisionflow.destination import ClusterArtifacts

BACKOFF_SECONDS = 15
"""Pause before the first retry, doubled before each further one."""
ALWAYS_AGAIN = ("identify", "report", "register", "finish")
"""Tasks that read the workspace's data or write into MLflow; all others are functions of their inputs and may be taken
from KFP's cache."""
GROUPS = 64
"""Most groups of variants: report gets two artifacts of each as one argument, and a workflow tells of all its nodes in
one object, of which Kubernetes takes 1 MiB.
"""
GROUPS_AT_ONCE = 8
OF_A_GROUP = ("train", "launch-trainjob", "evaluate")
"""Tasks that take the variants of a group one after the other."""
LAUNCHING = ("launch-trainjob", "launch-search")
"""Tasks that wait for what they have launched: in its queue they would hold the room for which it waits."""
QUEUEING_SECONDS = 30 * 86400
"""Time that a queue may hold work, beyond its deadline, before what waits for it is given up."""


@dataclass(frozen=True)
class Needs:
    """What an experiment needs of a cluster beside Kubeflow Pipelines."""

    trainer: bool
    """Kubeflow Trainer: a variant's engine asks for more than one node."""
    files: tuple[str, ...]
    """Raw data that its sources read, which must be in the workspace, as the sources name it."""
    workspace: bool = True
    """Whether checkpoints and weights are kept in the workspace."""
    ranks: int = 1
    """Most processes that a pod trains with."""
    groups: tuple[str, ...] = ()
    """Groups of variants, as arguments of KFP."""
    variants: int = 1
    """Most variants of a group."""

    @property
    def mounting(self) -> frozenset[str]:
        """Components whose pods mount the workspace."""
        read = bool(self.files)
        wanted = {"launch-trainjob": self.trainer, "train": self.workspace, "identify": read, "prepare": read}
        return frozenset(name for name, needed in wanted.items() if needed)


def needs(experiment: Experiment) -> Needs:
    """What its variants need; ConfigError for a file of predictions, which pods that train do not see.

    Also where its text is too long for KFP, and where raw data or several nodes ask for a workspace and there is none.
    """
    variants = stages.expand([experiment])
    for variant in variants:
        if isinstance(variant.model, PredictionFile):
            raise ConfigError(
                f"model.kind predictions: {variant.model.path} is read on this machine alone; take the variant "
                f"{variant.variant!r} out, or say `precisionflow run`"
            )
    refuse_too_long([experiment_argument(experiment)])
    groups = groups_of(variants, most=GROUPS)
    found = Needs(
        trainer=any(isinstance(v.engine, DeepSpeedEngine) and v.engine.nodes > 1 for v in variants),
        files=tuple(dict.fromkeys(file for v in variants for file in v.task.source.files)),
        workspace=experiment.cluster.workspace is not None,
        ranks=max(v.engine.ranks if isinstance(v.engine, DeepSpeedEngine) else 1 for v in variants),
        groups=tuple(map(str, groups)),
        variants=max(group.stop - group.first for group in groups),
    )
    if not found.workspace and (found.trainer or found.files):
        asks = "engine.nodes > 1" if found.trainer else f"the file {found.files[0]}"
        raise ConfigError(
            f"cluster.workspace: given none, but {asks} needs one; name a PersistentVolumeClaim"
        )
    return found


def wire_on_cluster(
    experiments: Any,
    groups: Any,
    *,
    wanted: Needs,
    images: Mapping[str, str],
    equip: Equip,
    files: Mapping[str, str] | None = None,
    cluster: Any = "",
) -> None:
    """The ablation with all that a cluster adds: digests of raw files, TrainJobs, what pods ask for, how it ended.

    Without the digests of raw `files` a task of the run finds them.
    """
    run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    last = equip(finish(experiments=experiments, groups=groups, cluster=cluster, run=run))
    place = str(ClusterArtifacts())
    with dsl.ExitHandler(last, name="ablation"):
        read: Any = dict(files or {})
        if wanted.files and not read:
            read = equip(identify(experiments=experiments)).output
        wire(
            experiments,
            groups,
            destination=place,
            cluster=cluster,
            training=partial(launch_trainjob, image=images["train"], cluster=cluster)
            if wanted.trainer
            else partial(train, destination=place),
            files=read,
            equip=equip,
            parallelism=GROUPS_AT_ONCE,
        )


def training_on_cluster(wanted: Needs, *, images: Mapping[str, str], equip: Equip) -> Callable[..., Any]:
    """The ablation as a pipeline inside another one, which tells MLflow how it ended."""

    @dsl.pipeline(name="train")
    def training(experiments: list[str], groups: list[str]):  # type: ignore[no-untyped-def]
        wire_on_cluster(experiments, groups, wanted=wanted, images=images, equip=equip)

    return training


def in_workspace(experiment: Experiment) -> Experiment:
    """The experiment as a cluster reads it: a file of another machine by its name, from `data/` in the workspace."""
    return resolve(by_name(experiment.model_dump(mode="json"), workspace=names.WORKSPACE))


def on_cluster(
    experiment: Experiment,
    *,
    images: Mapping[str, str],
    mlflow: Collection[str] = names.MLFLOW_ALL,
    files: Mapping[str, str] | None = None,
) -> GraphComponent:
    """The ablation of one experiment, which stands in it as its default arguments: what it asks of a cluster by itself,
    since that changes no result and tasks that do not get it stay in KFP's cache.

    An experiment with a variant whose engine asks for more than one node trains by TrainJobs. `mlflow` are the
    variables that the namespace has values for: KFP's backend waits forever for one that is absent. `files` are the
    sha256 of the raw files and folders that it reads, by their names in the workspace.
    """
    experiment, wanted = in_workspace(experiment), needs(experiment)
    whole = [experiment_argument(experiment, without=("cluster",))]
    grouped = list(wanted.groups)
    asked = as_argument(without_defaults(experiment.cluster))
    equip = Equipment(experiment.cluster, images, wanted, tuple(mlflow))

    @dsl.pipeline(
        name=experiment.name,
        description=_plain(experiment.question),
        pipeline_config=dsl.PipelineConfig(ttl_seconds_after_finished=experiment.cluster.keep_seconds),
    )
    def pipeline(  # type: ignore[no-untyped-def]
        experiments: list[str] = whole, cluster: str = asked, groups: list[str] = grouped
    ):
        wire_on_cluster(
            experiments, groups, wanted=wanted, images=images, equip=equip, files=files, cluster=cluster
        )

    return pipeline


def _plain(text: str) -> str:
    """A line for KFP's pages: without placeholders, and without characters that its database refuses."""
    return " ".join(re.sub(r"[^\u0000-\uffff]", "?", text.replace("{", "{ ")).split())


@dataclass(frozen=True)
class Equipment:
    """Called with a task, gives it what `cluster` asks for; `images` are those of core and train."""

    cluster: Cluster
    images: Mapping[str, str]
    wanted: Needs
    mlflow: tuple[str, ...] = names.MLFLOW_ALL
    """Variables that tell a task where MLflow is and who it is there."""

    def __call__(self, task: dsl.PipelineTask) -> dsl.PipelineTask:
        verb = task.component_spec.name
        deadline = self.cluster.deadline_seconds * (self.wanted.variants if verb in OF_A_GROUP else 1)
        waiting = QUEUEING_SECONDS if self.cluster.queue else 0
        launching = verb in LAUNCHING
        task.set_container_image(self.images[NAMES[task.container_spec.image]])
        task.set_caching_options(enable_caching=verb not in ALWAYS_AGAIN)
        if self.cluster.retries:
            task.set_retry(
                self.cluster.retries,
                backoff_duration=f"{BACKOFF_SECONDS}s",
                backoff_factor=2,
                backoff_max_duration=f"{trying_seconds(self.cluster, deadline) + waiting}s",
            )
        kubernetes.set_timeout(task, deadline + (waiting if launching else 0))
        kubernetes.set_security_context(task, run_as_user=1000, run_as_non_root=True)
        for label, value in (names.MANAGED | ({} if launching else self.cluster.queueing)).items():
            kubernetes.add_pod_label(task, label, value)
        if self.cluster.pull_secrets:
            kubernetes.set_image_pull_secrets(task, list(self.cluster.pull_secrets))
        asked = {"train": self.cluster.train, "evaluate": self.cluster.evaluate}.get(verb, self.cluster.other)
        _provide(task, asked)
        # libraries count the processors of the node, not those that the pod may use
        task.set_env_variable(
            "OMP_NUM_THREADS", str(asked.threads(self.wanted.ranks if verb == "train" else 1))
        )
        tracked(task, self.mlflow)
        if verb in self.wanted.mounting:
            assert self.cluster.workspace, "what mounts needs one"
            kubernetes.mount_pvc(task, self.cluster.workspace, names.WORKSPACE)
            task.set_env_variable("PRECISIONFLOW_DATA", names.DATA)
        return task


def trying_seconds(cluster: Cluster, deadline: int) -> int:
    """Time in which every try may run to its deadline of so many seconds, with the pauses.

    Argo counts it from the moment at which it makes the first pod: later it begins no other, and it ends the one that
    runs then.
    """
    pauses = BACKOFF_SECONDS * (2**cluster.retries - 1)
    return (cluster.retries + 1) * deadline + pauses


def _provide(task: dsl.PipelineTask, resources: Resources) -> None:
    task.set_cpu_request(resources.cpu).set_cpu_limit(resources.cpu)
    task.set_memory_request(resources.memory).set_memory_limit(resources.memory)
    if resources.gpus:
        task.set_accelerator_type(resources.gpu_resource).set_accelerator_limit(resources.gpus)
    if resources.shared_memory:
        kubernetes.empty_dir_mount(task, "dshm", "/dev/shm", "Memory", resources.shared_memory)
    for label, value in resources.node_selector.items():
        kubernetes.add_node_selector(task, label, value)
    for toleration in resources.tolerations:
        given = {"value": toleration.value, "effect": toleration.effect}
        kubernetes.add_toleration(
            task, toleration.key, toleration.operator, **{name: text for name, text in given.items() if text}
        )


def tracked(task: dsl.PipelineTask, variables: Collection[str]) -> None:
    """Tell a task where MLflow is and who it is there, by the variables that the namespace has."""
    plain = {name: name for name in names.MLFLOW_VARIABLES if name in variables}
    secret = {name: name for name in names.MLFLOW_SECRETS if name in variables}
    if plain:
        kubernetes.use_config_map_as_env(task, names.MLFLOW, plain, optional=True)
    if secret:
        kubernetes.use_secret_as_env(task, names.MLFLOW, secret, optional=True)
