"""The pipeline of an experiment on a cluster, compiled: what its pods ask for, what may be cached, what flows."""

import base64
import functools
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from precisionflow.pipelines.argument_size import MOST, refuse_too_long
from precisionflow.pipelines.compiled import compile_all, compile_experiment, version_of

from precisionflow import stages
from precisionflow.ablation.design import points as points_of
from precisionflow.ablation.groups import group_of
from precisionflow.cluster.access import names
from precisionflow.config import ConfigError, load, parse, resolve
from tests.command_line import Line

IMAGES = {"core": "registry.example/core@sha256:1", "train": "registry.example/train@sha256:2"}
TASKS = ["aggregate", "evaluate", "prepare", "register", "report", "train"]
Pair = tuple[dict[str, Any], dict[str, Any]]
Compiled = Callable[..., Pair]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """The pipeline and what it asks of Kubernetes, of the regression quickstart with settings; each compiled once."""
    tmp_path = tmp_path_factory.mktemp("compiled")

    @functools.cache
    def compile_with(*settings: str, name: str = "quickstart-regression", **options: Any) -> Pair:
        file = compile_experiment(load(name, settings), images=IMAGES, folder=tmp_path, **options)
        pipeline, platform = yaml.safe_load_all(file.read_text())
        return pipeline, platform["platforms"]["kubernetes"]

    return compile_with


def executors(pipeline: dict[str, Any]) -> dict[str, Any]:
    content = pipeline["deploymentSpec"]["executors"]
    return {label.removeprefix("exec-"): executor["container"] for label, executor in content.items()}


def pods(platform: dict[str, Any]) -> dict[str, Any]:
    content = platform["deploymentSpec"]["executors"]
    return {label.removeprefix("exec-"): pod for label, pod in content.items()}


def tasks(pipeline: dict[str, Any]) -> dict[str, Any]:
    dags = [pipeline["root"], *pipeline["components"].values()]
    return {
        name: task
        for dag in dags
        for name, task in dag.get("dag", {}).get("tasks", {}).items()
        if not name.startswith(("for-loop-", "exit-handler-"))
    }


def default(pipeline: dict[str, Any], name: str) -> list[str]:
    return pipeline["root"]["inputDefinitions"]["parameters"][name]["defaultValue"]


def test_the_tasks_are_those_of_this_machine_and_one_that_finishes(
    compiled: Compiled, tmp_path: Path
) -> None:
    pipeline, _ = compiled()
    compile_all(tmp_path / "local")
    local = tasks(yaml.safe_load((tmp_path / "local" / "ablation.yaml").read_text()))
    cluster = tasks(pipeline)
    assert sorted(cluster) == sorted([*local, "finish"]) == sorted([*TASKS, "finish"])
    for name, task in local.items():
        assert task["cachingOptions"].get("enableCache") or name not in ("train", "prepare")
        assert sorted(task["inputs"]["parameters"]) == sorted(cluster[name]["inputs"]["parameters"])
        assert sorted(task["inputs"].get("artifacts", {})) == sorted(
            cluster[name]["inputs"].get("artifacts", {})
        )


def test_the_experiment_is_the_default_argument(compiled: Compiled) -> None:
    pipeline, _ = compiled("training.steps=7", "cluster.train.cpu=3")
    experiment = load("quickstart-regression", ["training.steps=7", "cluster.train.cpu=3"])
    (whole,) = default(pipeline, "experiments")
    cluster = {"cluster": json.loads(default(pipeline, "cluster"))}
    assert resolve({**json.loads(whole), **cluster}) == experiment
    assert default(pipeline, "groups") == ["0:1 homoscedastic", "1:2 heteroscedastic"]


def test_cluster_settings_leave_the_work_and_so_the_cache_alone(compiled: Compiled) -> None:
    plain, _ = compiled()
    larger, _ = compiled("cluster.train.memory=9Gi", "cluster.retries=7")
    assert default(plain, "experiments") == default(larger, "experiments")
    assert default(plain, "groups") == default(larger, "groups")
    assert default(plain, "cluster") != default(larger, "cluster")
    reading = {name for name, task in tasks(plain).items() if "cluster" in task["inputs"]["parameters"]}
    assert reading == {"evaluate", "report", "register", "finish"}, "what tells MLflow"


def test_a_file_of_predictions_is_refused(compiled: Compiled) -> None:
    with pytest.raises(
        ConfigError, match=r"^model.kind predictions: their.csv is read on this machine alone; take"
    ):
        compiled(
            "model={kind: predictions, path: their.csv}", "ablation.axes={}", "objective.kind=gaussian_nll"
        )


def test_images_by_what_a_task_needs(compiled: Compiled) -> None:
    for verb, container in executors(compiled()[0]).items():
        assert container["image"] == IMAGES["train" if verb in ("train", "evaluate") else "core"]
        assert "pip install" not in "\n".join(container["command"])


def test_resources_go_to_the_pods_that_they_are_for(compiled: Compiled) -> None:
    pipeline, platform = compiled(
        *("cluster.train.cpu=3", "cluster.train.memory=7Gi", "cluster.evaluate.memory=5Gi"),
        *(
            "cluster.train.gpus=2",
            "cluster.train.gpu_resource=amd.com/gpu",
            "cluster.train.shared_memory=8Gi",
        ),
        *("cluster.train.node_selector={pool: fast}", "cluster.other.cpu=250m"),
        "cluster.train.tolerations=[{key: gpu, operator: Equal, value: 'yes', effect: NoSchedule}]",
    )
    asked = {verb: container["resources"] for verb, container in executors(pipeline).items()}
    for verb, resources in asked.items():
        assert resources["resourceCpuLimit"] == resources["resourceCpuRequest"]
        assert resources["resourceMemoryLimit"] == resources["resourceMemoryRequest"]
        assert ("accelerator" in resources) == (verb == "train")
    train = asked["train"]
    assert (train["resourceCpuLimit"], train["resourceMemoryLimit"]) == ("3", "7Gi")
    assert train["accelerator"]["resourceType"] == "amd.com/gpu"
    assert train["accelerator"]["resourceCount"] == "2"
    assert (asked["evaluate"]["resourceMemoryLimit"], asked["report"]["resourceCpuLimit"]) == ("5Gi", "250m")
    for verb, pod in pods(platform).items():
        assert (
            ("nodeSelector" in pod)
            == ("tolerations" in pod)
            == ("emptyDirMounts" in pod)
            == (verb == "train")
        )
    pod = pods(platform)["train"]
    assert pod["nodeSelector"]["labels"] == {"pool": "fast"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}]
    (mount,) = pod["emptyDirMounts"]
    assert (mount["mountPath"], mount["medium"], mount["sizeLimit"]) == ("/dev/shm", "Memory", "8Gi")


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "") for variable in container["env"]}


@pytest.mark.parametrize(
    ("cpu", "engine", "threads"),
    [
        ("6", "{kind: deepspeed, ranks: 2}", "3"),
        ("3500m", "{kind: torch}", "3"),
        ("500m", "{kind: torch}", "1"),
        ("2", "{kind: deepspeed, ranks: 4}", "1"),
    ],
)
def test_threads_are_those_that_a_pod_may_use(
    cpu: str, engine: str, threads: str, compiled: Compiled
) -> None:
    pipeline, _ = compiled(
        f"cluster.train.cpu={cpu}",
        "cluster.other.cpu=4",
        f"engine={engine}",
        "ablation.axes={}",
        name="quickstart-language",
    )
    found = {verb: environment(one)["OMP_NUM_THREADS"] for verb, one in executors(pipeline).items()}
    assert (found["train"], found["prepare"]) == (threads, "4")


def test_any_device_can_be_asked_for(compiled: Compiled) -> None:
    pipeline, _ = compiled("cluster.train={gpus: 1, gpu_resource: nvidia.com/mig-1g.5gb}")
    accelerator = executors(pipeline)["train"]["resources"]["accelerator"]
    assert accelerator["resourceType"] == "nvidia.com/mig-1g.5gb"
    for wrong in ("gpu", "nvidia.com/", "Nvidia.com/gpu", "nvidia.com/gpu 1"):
        with pytest.raises(ConfigError, match=r"^cluster.train.gpu_resource: .* such as nvidia.com/gpu$"):
            load("toy", [f"cluster.train.gpu_resource='{wrong}'"])


def test_pods_of_a_queue_say_so_and_images_are_pulled_with_secrets(compiled: Compiled) -> None:
    _, platform = compiled("cluster={queue: team, priority: high, pull_secrets: [one, two]}")
    for pod in pods(platform).values():
        labels = pod["podMetadata"]["labels"]
        assert labels["kueue.x-k8s.io/queue-name"] == "team"
        assert labels["kueue.x-k8s.io/priority-class"] == "high"
        assert [secret["secretName"] for secret in pod["imagePullSecret"]] == ["one", "two"]
    with pytest.raises(
        ConfigError, match=r"^cluster.priority is that of a queue; name one in cluster.queue$"
    ):
        load("toy", ["cluster.priority=high"])


def test_what_waits_for_its_launched_work_takes_no_room_from_it(compiled: Compiled) -> None:
    """A launcher in the queue of its TrainJob would keep it out of a quota that is just large enough."""
    settings = ("cluster={queue: team, deadline_seconds: 77, retries: 1}", "engine.nodes=2")
    pipeline, platform = compiled(*settings, name="quickstart-language")
    queued = {
        verb
        for verb, pod in pods(platform).items()
        if "kueue.x-k8s.io/queue-name" in pod["podMetadata"]["labels"]
    }
    assert queued == set(pods(platform)) - {"launch-trainjob"}
    month = 30 * 86400
    limits = {verb: int(pod["activeDeadlineSeconds"]) for verb, pod in pods(platform).items()}
    assert limits.pop("launch-trainjob") == 77 + month
    assert set(limits.values()) == {77}, "kubelets count from the admission"
    policy = tasks(pipeline)["evaluate"]["retryPolicy"]
    assert policy["backoffMaxDuration"] == f"{2 * 77 + 15 + month}s", "Argo counts from the pod that waits"


def test_retries_pauses_deadlines_and_tidying(compiled: Compiled) -> None:
    pipeline, platform = compiled(
        "cluster.retries=4", "cluster.deadline_seconds=77", "cluster.keep_seconds=99"
    )
    for task in tasks(pipeline).values():
        policy = task["retryPolicy"]
        assert (policy["maxRetryCount"], policy["backoffFactor"]) == (4, 2)
        assert policy["backoffDuration"] == "15s"
        assert policy["backoffMaxDuration"] == f"{5 * 77 + 15 * (1 + 2 + 4 + 8)}s"
    assert {pod["activeDeadlineSeconds"] for pod in pods(platform).values()} == {"77"}
    assert platform["pipelineConfig"]["resourceTtlOnCompletion"] == 99
    pipeline, _ = compiled("cluster.retries=0")
    assert not any("retryPolicy" in task for task in tasks(pipeline).values())


def test_what_writes_into_mlflow_is_never_taken_from_the_cache(compiled: Compiled) -> None:
    cached = {
        name for name, task in tasks(compiled()[0]).items() if task["cachingOptions"].get("enableCache")
    }
    assert cached == {"prepare", "train", "evaluate", "aggregate"}


def test_nobody_is_root_and_every_pod_is_labelled(compiled: Compiled) -> None:
    for pod in pods(compiled()[1]).values():
        assert pod["securityContext"] == {"runAsNonRoot": True, "runAsUser": "1000"}
        assert pod["podMetadata"]["labels"] == names.MANAGED


@pytest.mark.parametrize("given", [(), ("MLFLOW_TRACKING_URI",), names.MLFLOW_ALL])
def test_only_variables_that_the_namespace_has_are_asked_for(
    given: tuple[str, ...], compiled: Compiled
) -> None:
    _, platform = compiled(mlflow=given)
    for pod in pods(platform).values():
        sources = [*pod.get("configMapAsEnv", ()), *pod.get("secretAsEnv", ())]
        assert {entry["envVar"] for source in sources for entry in source["keyToEnv"]} == set(given)
        assert {source.get("secretName", source.get("configMapName")) for source in sources} <= {names.MLFLOW}


def test_the_exit_handler_is_told_which_run_it_ends(compiled: Compiled) -> None:
    pipeline, _ = compiled()
    last = pipeline["root"]["dag"]["tasks"]["finish"]
    assert last["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert last["inputs"]["parameters"]["run"]["runtimeValue"]["constant"] == "{{$.pipeline_job_uuid}}"


def test_more_than_one_node_trains_as_a_trainjob(compiled: Compiled) -> None:
    pipeline, platform = compiled("engine.nodes=2", name="quickstart-language")
    assert "train" not in tasks(pipeline)
    launch = tasks(pipeline)["launch-trainjob"]["inputs"]["parameters"]
    assert launch["image"]["runtimeValue"]["constant"] == IMAGES["train"]
    assert sorted(launch) == ["cluster", "group", "image"], (
        "what differs from run to run would keep it out of KFP's cache"
    )
    assert tasks(pipeline)["launch-trainjob"]["cachingOptions"]["enableCache"]
    assert executors(pipeline)["launch-trainjob"]["image"] == IMAGES["core"]
    mounts = {verb: pod["pvcMount"][0] for verb, pod in pods(platform).items() if "pvcMount" in pod}
    assert list(mounts) == ["launch-trainjob"], "the component that trains in its own pod is not there"
    assert mounts["launch-trainjob"]["mountPath"] == names.WORKSPACE
    assert mounts["launch-trainjob"]["constant"] == "precisionflow-workspace"


def test_raw_data_sets_are_read_from_the_workspace_and_cached_by_their_content(compiled: Compiled) -> None:
    pipeline, platform = compiled("cluster.workspace=mine", name="uci")
    mounts = {verb: pod["pvcMount"][0] for verb, pod in pods(platform).items() if "pvcMount" in pod}
    assert {verb: mount["constant"] for verb, mount in mounts.items()} == dict.fromkeys(
        ("identify", "prepare", "train"), "mine"
    )
    for verb in ("identify", "prepare"):
        assert {"name": "PRECISIONFLOW_DATA", "value": "/workspace/data"} in executors(pipeline)[verb]["env"]
    made = tasks(pipeline)
    assert not made["identify"]["cachingOptions"]
    assert made["prepare"]["cachingOptions"]["enableCache"]
    digests = made["prepare"]["inputs"]["parameters"]["files"]
    assert digests["taskOutputParameter"]["producerTask"] == "identify"


def test_digests_that_are_known_are_not_found_again(tmp_path: Path) -> None:
    files = {"uci/yacht": "0" * 64}
    versions = set()
    for digest in ("0" * 64, "1" * 64):
        files = {"uci/yacht": digest}
        file = compile_experiment(load("uci"), images=IMAGES, folder=tmp_path, files=files)
        pipeline, _ = yaml.safe_load_all(file.read_text())
        assert "identify" not in tasks(pipeline)
        given = tasks(pipeline)["prepare"]["inputs"]["parameters"]["files"]["runtimeValue"]["constant"]
        assert given == files
        versions.add(version_of(file))
    assert len(versions) == 2, "a version stands for its data"


def test_an_experiment_without_files_identifies_none(compiled: Compiled) -> None:
    pipeline, _ = compiled()
    assert "identify" not in tasks(pipeline)
    assert tasks(pipeline)["prepare"]["inputs"]["parameters"]["files"]["runtimeValue"]["constant"] == {}


def test_without_a_workspace_nothing_is_mounted(compiled: Compiled) -> None:
    _, platform = compiled("cluster.workspace=")
    assert not [verb for verb, pod in pods(platform).items() if "pvcMount" in pod]
    with pytest.raises(ConfigError, match=r"^cluster.workspace: given none, but the file uci/.* needs one"):
        compiled("cluster.workspace=", name="uci")
    with pytest.raises(ConfigError, match=r"^cluster.workspace: given none, but engine.nodes > 1 needs one"):
        compiled("cluster.workspace=", "engine.nodes=2", name="quickstart-language")


def test_a_file_of_this_machine_is_found_by_its_name(compiled: Compiled, tmp_path: Path) -> None:
    (tmp_path / "beams.csv").write_text("a,y\n")
    source = f"task.source={{kind: table_file, path: {tmp_path}/beams.csv, target: y}}"
    pipeline, _ = compiled(source)
    assert {parse(text).task.source.path for text in default(pipeline, "experiments")} == {"beams.csv"}


def test_a_table_of_ones_own_is_read_from_the_workspace(compiled: Compiled) -> None:
    source = "task.source={kind: table_file, path: beams.csv, target: strength}"
    _, platform = compiled(source, "cluster.workspace=mine")
    assert pods(platform)["prepare"]["pvcMount"][0]["constant"] == "mine"


def design(*sizes: int) -> Any:
    """An experiment whose axes have so many levels."""
    keys = ("training.learning_rate", "training.weight_decay")
    axes = {
        key: {f"{key[9]}{number}": {key: 1e-5 * (number + 1)} for number in range(size)}
        for key, size in zip(keys, sizes, strict=False)
    }
    return load("quickstart-regression", [f"ablation.axes={json.dumps(axes)}"])


def artifact(name: str) -> dict[str, Any]:
    """An artifact among the inputs of a task, as the launcher of KFP gets it, with long names."""
    address = f"minio://mlpipeline/v2/artifacts/{'p' * 50}/{uuid4()}/{name}/{uuid4()}/{name}"
    kind = {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}
    about = {"data": {"stringValue": address}, "display_name": name}
    return {"artifacts": [{"name": "1234567", "type": kind, "uri": address, "metadata": about}]}


def executor_input(task: dict[str, Any], given: dict[str, Any], *, groups: int) -> str:
    """The argument of a task: its parameters, and its artifacts, `groups` of each that is collected."""
    parameters = task["inputs"]["parameters"]
    values = {name: given[name] for name in parameters if name in given}
    collected = {
        name: {
            "artifacts": artifact(name)["artifacts"] * (groups if name in ("models", "evaluations") else 1)
        }
        for name in task["inputs"].get("artifacts", {})
    }
    return json.dumps({"inputs": {"parameterValues": values, "artifacts": collected}})


def nodes_of_a_loop(
    pipeline: dict[str, Any], platform: dict[str, Any], *, groups: int
) -> list[dict[str, Any]]:
    """Argo's nodes of a loop as KFP's compiler and drivers fill them.

    Each driver has the specification of its task, and hands a patch of the pod with the container's command and the
    task's argument on to a pod, once for each try.
    """
    loop = next(c for c in pipeline["components"].values() if "train" in c.get("dag", {}).get("tasks", {}))
    nodes: list[dict[str, Any]] = []
    for index in range(groups):
        place = f"workflow-abcde.root.exit-handler-1.for-loop-1.iteration-iterations({index}:{index})"
        for name, task in loop["dag"]["tasks"].items():
            container = executors(pipeline)[name]
            known = {"group": f"{index}:{index + 1} " + "v" * 100, "cluster": "{}", "destination": "kfp"}
            argument = executor_input(task, known, groups=1)
            patch = json.dumps({"containers": [{**container, "args": [*container["args"], argument]}]})
            asked = [pipeline["components"][f"comp-{name}"], task, container, pods(platform)[name]]
            inputs = [{"name": "x", "value": json.dumps(part)} for part in asked]
            common = {
                "startedAt": "2026-01-01T00:00:00Z",
                "finishedAt": "2026-01-01T00:00:00Z",
                "phase": "Succeeded",
            }
            patched = {"parameters": [{"name": "pod-spec-patch", "value": patch}]}
            nodes.append(
                {
                    "id": str(uuid4()),
                    "name": f"{place}.{name}-driver",
                    **common,
                    "inputs": {"parameters": inputs},
                    "outputs": patched,
                }
            )
            nodes += [
                {"id": str(uuid4()), "name": f"{place}.{name}.executor({k})", **common, "inputs": patched}
                for k in range(3)
            ]
    return nodes


@pytest.mark.parametrize(("sizes", "variants"), [((512,), 512), ((100, 100), 10_000)])
def test_a_design_of_any_number_of_variants_is_small_arguments(
    sizes: tuple[int, ...], variants: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No argument of a process above 128 KiB, no workflow above the 1 MiB that Argo packs into one object."""
    experiment = design(*sizes)
    one = stages.expand([design(1)])[0]
    points = [{"variant": "+".join(point.levels.values())} for point in points_of(experiment)]
    monkeypatch.setattr(stages, "expand", lambda _: [one.model_copy(update=point) for point in points])
    file = compile_experiment(experiment, images=IMAGES, folder=tmp_path)
    pipeline, platform = yaml.safe_load_all(file.read_text())
    platform = platform["platforms"]["kubernetes"]
    groups = [group_of(text) for text in default(pipeline, "groups")]
    assert len(groups) <= 64
    assert [v for group in groups for v in range(group.first, group.stop)] == list(range(variants))
    assert len(json.dumps(pipeline["root"])) < MOST, "KFP's root driver gets it as one argument"
    given = {name: default(pipeline, name) for name in ("experiments", "groups", "cluster")}
    for task in tasks(pipeline).values():
        text = executor_input(task, given | {"group": str(groups[0])}, groups=len(groups))
        assert len(json.dumps(text)) < MOST
    for component in pipeline["components"].values():
        assert len(json.dumps(component)) < MOST
    nodes = nodes_of_a_loop(
        pipeline,
        platform["platforms"]["kubernetes"] if "platforms" in platform else platform,
        groups=len(groups),
    )
    status = base64.b64encode(gzip.compress(json.dumps(nodes).encode()))
    assert len(status) < 2**20 / 2
    assert len(file.read_bytes()) < 2**20 / 2
    deadlines = {name: int(pod["activeDeadlineSeconds"]) for name, pod in pods(platform).items()}
    assert deadlines["train"] == deadlines["evaluate"] == max(g.stop - g.first for g in groups) * 86400
    assert deadlines["report"] == 86400


def test_an_experiment_whose_text_no_task_takes_is_refused_before_it_starts(tmp_path: Path) -> None:
    """Each level is written out: product axes are short."""
    told = r"^ablation: the experiment has \d+ KiB as KFP quotes it; a task gets it as one argument, which takes 104:"
    long = [json.dumps({"name": "x" * 100_000})]
    refuse_too_long(long)
    with pytest.raises(ConfigError, match=told):
        refuse_too_long(long * 2)
    with pytest.raises(ConfigError, match=told):
        compile_experiment(
            design(2).model_copy(update={"question": "q" * 200_000}), images=IMAGES, folder=tmp_path
        )
    assert not list(tmp_path.iterdir())


def test_a_placeholder_in_a_question_is_only_text(compiled: Compiled) -> None:
    question = "{{workflow.name}} {{{$.pipeline_job_uuid}}} '\"\\n---\\nkind: Secret"
    pipeline, _ = compiled(f"question={json.dumps(question)}")
    (whole,) = default(pipeline, "experiments")
    assert parse(whole).question == question
    content = [pipeline["pipelineInfo"], pipeline["root"]["inputDefinitions"]]
    assert "{{" not in json.dumps(content)


def test_the_same_experiment_gives_the_same_version(tmp_path: Path) -> None:
    experiment = load("quickstart-regression")
    files = [
        compile_experiment(experiment, images=images, folder=tmp_path / str(number))
        for number, images in enumerate(
            (IMAGES, IMAGES, {**IMAGES, "core": "registry.example/core@sha256:9"})
        )
    ]
    first, second, other = map(version_of, files)
    assert first == second != other


def test_as_resources_for_a_cluster_that_follows_a_repository(line: Line, tmp_path: Path) -> None:
    (tmp_path / "images.json").write_text(json.dumps(IMAGES))
    words = ("compile", "quickstart-regression", "--images", "images.json", "--out", "deep/er")
    code, out, err = line(*words, "--manifests")
    assert (code, out, err) == (0, "deep/er/quickstart-regression.yaml\n", "")
    pipeline, version = yaml.safe_load_all(Path(out.strip()).read_text())
    assert (pipeline["kind"], version["kind"]) == ("Pipeline", "PipelineVersion")
    assert {pipeline["apiVersion"], version["apiVersion"]} == {"pipelines.kubeflow.org/v2beta1"}
    assert version["spec"]["pipelineName"] == pipeline["metadata"]["name"] == "quickstart-regression"
    assert line(*words).code == 0
    plain, platform = yaml.safe_load_all(Path(out.strip()).read_text())
    assert version["spec"]["pipelineSpec"] == plain
    assert version["spec"]["platformSpec"] == platform
    assert version["metadata"]["name"] == f"quickstart-regression-{version_of(Path(out.strip()))}"


def test_compiling_an_experiment_wants_one(line: Line, tmp_path: Path) -> None:
    message = "--manifests, --set and --images belong to an EXPERIMENT; name one"
    assert line.fails("compile", "--manifests") == message
    assert line.fails("compile", "quickstart-regresion").startswith("unknown experiment")
    assert "none.json" in line.fails("compile", "quickstart-regression", "--images", "none.json")
    assert list(tmp_path.iterdir()) == []
