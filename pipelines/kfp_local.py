"""Running a pipeline under kfp.local: its tasks from our server, as many at once as the machine takes."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kfp import local
from kfp.local.config import LocalExecutionConfig
from kfp.local.orchestrator import enhanced_dag_orchestrator
from precisionflow.pipelines.task_client import TaskServer
from precisionflow.pipelines.task_process import Lost, tasks_as_processes


def execute(
    pipeline: Callable[..., object],
    arguments: Mapping[str, object],
    *,
    server: TaskServer,
    lost: Lost,
    scratch: Path,
) -> None:
    """Execute a pipeline to its end; RuntimeError where one of its tasks fails."""
    with subprocess_runner(scratch, at_once=server.at_once), tasks_as_processes(server, lost=lost):
        pipeline(**arguments)


@contextlib.contextmanager
def subprocess_runner(scratch: Path, *, at_once: int) -> Iterator[None]:
    """kfp.local set up to run so many tasks at once as processes of this Python; afterwards as it was before."""
    before = LocalExecutionConfig.instance
    executor = enhanced_dag_orchestrator.ParallelExecutor

    class Executor(executor):  # type: ignore[misc, valid-type]
        """Runs `at_once` iterations of a loop, of which ours are not nested; kfp.local's own runs two of any loop."""

        def __init__(self, max_workers: int | None = None) -> None:
            super().__init__(max_workers)
            self.conservative_max = self.max_workers = at_once

        def execute_parallel_tasks(self, *given: Any, parallelism_limit: int = 0, **named: Any) -> Any:
            """The limit in the pipeline is that of a cluster."""
            del parallelism_limit
            return super().execute_parallel_tasks(*given, **named)

    enhanced_dag_orchestrator.ParallelExecutor = Executor
    try:
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(scratch),
            workspace_root=str(scratch / "workspace"),
            enable_caching=False,
        )
        yield
    finally:
        LocalExecutionConfig.instance = before
        enhanced_dag_orchestrator.ParallelExecutor = executor
        shutil.rmtree(scratch, ignore_errors=True)
