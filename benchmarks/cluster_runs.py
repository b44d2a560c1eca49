"""Runs of an experiment on a cluster, for benchmarks: sent as a user sends them, fetched, compared, cleaned away."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from precisionflow.cluster.access import names, objects
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.kinds import (
    EXPERIMENTS,
    JOBSETS,
    NETWORK_POLICIES,
    RUNTIMES,
    TRAINJOBS,
    WORKFLOWS,
)
from precisionflow.cluster.access.patience import came_true
from precisionflow.cluster.access.rest import items
from precisionflow.cluster.pipelines.runs import called, find_run
from precisionflow.config import load, to_yaml
from precisionflow.results.layout import Aggregated, Results

SUBMITS = 6
"""Most submissions of one experiment: a driver of KFP's that is killed ends its run."""
PAUSE = 3.0
"""Seconds between looks at a run that nobody follows."""
ENDS = ("succeeded", "failed", "canceled", "skipped")
OURS = (TRAINJOBS, JOBSETS, RUNTIMES, NETWORK_POLICIES, EXPERIMENTS, WORKFLOWS)
GONE_SECONDS = 120.0
"""Longest time that what is owned takes to go after its owner."""


@dataclass(frozen=True)
class Desk:
    """A command line in a folder, for one cluster."""

    folder: Path
    connection: Connection
    images: Path

    def __call__(self, *words: str) -> tuple[int, str]:
        """Exit code and output of a command."""
        done = subprocess.run(
            self.words(*words), cwd=self.folder, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def words(self, *words: str) -> list[str]:
        """The command with the options that name the cluster."""
        access = self.connection.access
        options = ["--namespace", self.connection.namespace]
        options += ["--context", access.context] if access.context else []
        options += ["--images", str(self.images.resolve())] if words[0] in ("submit", "gc", "data") else []
        return [sys.executable, "-m", "precisionflow", *words, *options]

    def written(self, experiment: str, settings: Sequence[str], *, name: str) -> str:
        """Name of a file with an experiment, settings and a name of its own."""
        (self.folder / f"{name}.yaml").write_text(to_yaml(load(experiment, [*settings, f"name={name}"])))
        return f"{name}.yaml"

    def submit(self, file: str, run: str) -> "subprocess.Popen[str]":
        """A client that submits a file and follows the run."""
        words = self.words("submit", file, "--run-name", run, "--wait")
        return subprocess.Popen(
            words, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def ended(self, run: str) -> bool:
        """Wait until a run has ended, also while nobody answers; whether it succeeded, False if it never began."""
        while True:
            code, said = self("status", run)
            if code == 2:
                return False
            if code == 0 and (state := said.splitlines()[0].rsplit(": ", 1)[1].split()[0]) in ENDS:
                return state == "succeeded"
            time.sleep(PAUSE)

    def finish(self, file: str, name: str) -> tuple[str, int]:
        """Submit until a run succeeds, as a user would; the run, and how many it took. RuntimeError after too many."""
        for number in range(1, SUBMITS + 1):
            run = f"{name}-{number}"
            self.submit(file, run).communicate()
            if self.ended(run):
                return run, number
        raise RuntimeError(f"{file}: no run succeeded, {SUBMITS} were submitted")

    def fetched(self, run: str) -> Results:
        """The results of a run."""
        out = self.folder / "fetched" / run
        code, said = self("fetch", run, "--out", str(out))
        if code:
            raise ClusterError(f"fetch {run}: {said.strip()}")
        return Results(out)

    def forget(self, name: str) -> None:
        """Delete every run of an experiment, its versions and the pipeline: KFP's cache forgets them."""
        client = self.connection.pipelines
        for experiment in client.list_experiments(filter=called(name)).experiments or ():
            for run in client.list_runs(experiment_id=experiment.experiment_id, page_size=50).runs or ():
                client.delete_run(run.run_id)
            client.delete_experiment(experiment.experiment_id)
        for pipeline in client.list_pipelines(filter=called(name)).pipelines or ():
            for version in client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions or ():
                client.delete_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id)
            client.delete_pipeline(pipeline.pipeline_id)

    def collect(self, empty: frozenset[str] = frozenset()) -> list[str]:
        """`gc` of everything, whatever its age; what is left after it of what the cluster did not hold before.

        ClusterError where `gc` could not look at all: what nobody has looked for is not absent.
        """
        self._gc()
        came_true(
            lambda: not self.held() - empty, seconds=GONE_SECONDS
        )  # owners take with them what they own
        folders = [line for line in self._gc("--dry-run").splitlines() if " days old" in line]
        return [*folders, *sorted(self.held() - empty)]

    def _gc(self, *words: str) -> str:
        code, said = self("gc", "--days", "0", *words)
        if code:
            raise ClusterError(f"gc: {said.strip()}")
        return said

    def held(self) -> frozenset[str]:
        """Everything of the kinds that runs make, and every Secret, whoever has made it: a label may be missing."""
        found = {
            f"{kind.plural}/{one['metadata']['name']}"
            for kind in OURS
            for one in objects.listed(self.connection, kind)
        }
        ((label, value),) = names.MANAGED.items()
        folder = f"/api/v1/namespaces/{self.connection.namespace}"
        for plural, query in (("pods", {"labelSelector": f"{label}={value}"}), ("secrets", {})):
            held = items(self.connection.api, f"{folder}/{plural}", **query)
            found |= {f"{plural}/{one['metadata']['name']}" for one in held}
        return frozenset(found)

    def run_id(self, run: str) -> str:
        """Id of a run."""
        return str(find_run(run, connection=self.connection).run_id)


def rows(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Rows of the final tables without the experiment's name."""
    aggregated = Aggregated(results.aggregate)
    tables = {"table": aggregated.table, "contrasts": aggregated.contrasts}
    return {
        name: [{k: v for k, v in row.items() if k != "experiment"} for row in pq.read_table(file).to_pylist()]
        for name, file in tables.items()
    }


def differing(one: Results, other: Results) -> int:
    """Rows of the final tables that differ in any bit, or that only one has."""
    first, second = rows(one), rows(other)
    count = 0
    for name in first:
        ours, theirs = sorted(map(repr, first[name])), sorted(map(repr, second[name]))
        count += abs(len(ours) - len(theirs)) + sum(a != b for a, b in zip(ours, theirs, strict=False))
    return count
