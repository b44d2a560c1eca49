"""The pipeline of an experiment on a cluster, compiled: what its pods ask for, what may be cached, what flows."""

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from precisionflow.pipelines.argument_size import refuse_too_many
from precisionflow.pipelines.compiled import compile_all, compile_experiment, version_of

from precisionflow import stages
from precisionflow.cluster.access import names
from precisionflow.config import ConfigError, load, parse
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
    assert [parse(text) for text in default(pipeline, "experiments")] == [experiment]
    variants = [parse(text) for text in default(pipeline, "variants")]
    assert [variant.variant for variant in variants] == ["homoscedastic", "heteroscedastic"]


def test_cluster_settings_leave_the_work_and_so_the_cache_alone(compiled: Compiled) -> None:
    plain, _ = compiled()
    larger, _ = compiled("cluster.train.memory=9Gi", "cluster.retries=7")
    assert default(plain, "variants") == default(larger, "variants")
    assert default(plain, "experiments") != default(larger, "experiments")


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
    assert sorted(launch) == ["experiment", "image"], (
        "what differs from run to run would keep it out of KFP's cache"
    )
    assert tasks(pipeline)["launch-trainjob"]["cachingOptions"]["enableCache"]
    assert executors(pipeline)["launch-trainjob"]["image"] == IMAGES["core"]
    mounts = {verb: pod["pvcMount"][0] for verb, pod in pods(platform).items() if "pvcMount" in pod}
    assert list(mounts) == ["launch-trainjob"], "the component that trains in its own pod is not there"
    assert mounts["launch-trainjob"]["mountPath"] == names.WORKSPACE
    assert mounts["launch-trainjob"]["constant"] == "precisionflow-workspace"
    assert all(parse(text).engine.nodes == 2 for text in default(pipeline, "variants"))


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
    texts = [*default(pipeline, "variants"), *default(pipeline, "experiments")]
    assert {parse(text).task.source.path for text in texts} == {"beams.csv"}


def test_a_table_of_ones_own_is_read_from_the_workspace(compiled: Compiled) -> None:
    source = "task.source={kind: table_file, path: beams.csv, target: strength}"
    _, platform = compiled(source, "cluster.workspace=mine")
    assert pods(platform)["prepare"]["pvcMount"][0]["constant"] == "mine"


def design(seeds: int) -> Any:
    axis = {f"s{number}": {"training": {"learning_rate": 1e-5 * (number + 1)}} for number in range(seeds)}
    return load("quickstart-regression", [f"ablation.axes={json.dumps({'rate': axis})}"])


def test_a_design_that_kfp_cannot_hand_to_a_task_is_refused_before_it_starts(tmp_path: Path) -> None:
    """Here the artifacts are too many, there the texts too long; what is said to fit does."""
    told = r"^ablation: 512 variants are too many for one run on a cluster: .* submit parts of the design, (\d+) var"
    with pytest.raises(ConfigError, match=told) as caught:
        compile_experiment(design(512), images=IMAGES, folder=tmp_path)
    assert not list(tmp_path.iterdir())
    found = re.search(r"(\d+) variants or fewer", str(caught.value))
    assert found
    most = int(found[1])
    assert 100 < most < 512
    refuse_too_many(stages.expand([design(most)]))
    long = [variant.model_copy(update={"question": "q" * 2000}) for variant in stages.expand([design(70)])]
    with pytest.raises(ConfigError, match=r"^ablation: 70 variants are too many"):
        refuse_too_many(long)


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
