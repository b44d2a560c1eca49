"""An experiment of two variants on a cluster, trained by TrainJobs, while things are killed at random moments:
the launcher, a driver of KFP's, a training pod at 60 % of its work, MLflow, PostgreSQL, KFP's store, the API server.

Each of `--times` rounds is an experiment of its own in which each of them is killed once, or with `--apart` only one;
a run that fails is submitted again, as a user would. Final tables are compared with those of the unbroken run bit by
bit, MLflow's cells are counted, and after `gc` nothing may be left: no folder, no job, no secret. What a round does
not get done is a row of its own, and the next one begins.
It deletes pods of the namespaces of KFP and of MLflow, and all that `gc --days 0` finds: for a cluster of its own.
The API server is restarted by a command of yours, `--restart-api-server "docker restart kind-control-plane"` say.
"""

import random
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cluster_runs import SUBMITS, Desk, differing
from cluster_strikes import (
    API_SERVER,
    EARLY,
    KILLS,
    LATEST,
    MLFLOW,
    STEPS,
    Kill,
    Round,
    TooLate,
    patiently,
    restart_api_server,
)
from measured import Measured, arguments, present

from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.port_forward import forwarded
from precisionflow.config import parse
from precisionflow.results.layout import Results
from precisionflow.tracking.content import KEY, ROWS, parent_key
from precisionflow.tracking.variants import cells_inside

VARIANTS = 2
SETTINGS = (
    *("engine.nodes=2", "engine.ranks=2"),
    *(f"training.steps={STEPS}", "training.validate_every=50", "training.checkpoint_every=20"),
    *("cluster.train={cpu: 500m, memory: 2Gi}", "cluster.evaluate.cpu=500m", "cluster.other.cpu=500m"),
    "ablation.axes={learning: {backprop: {learning.kind: backprop}, pc: {learning.kind: predictive_coding}}}",
)
"""Of `quickstart-language`: `VARIANTS`, each a TrainJob that trains its seeds one after the other."""


def broken(
    under: Round, file: str, kills: Mapping[str, Kill], *, moments: Mapping[str, float]
) -> tuple[str, int]:
    """Submit a file until a run succeeds while all kills strike at their moments, in seconds; that run, and how many.

    RuntimeError after too many runs.
    """
    begun = time.monotonic()

    def strike(what: str) -> None:
        try:
            if under.over.wait(moments[what]):
                raise TooLate
            kills[what](under)
        except TooLate:
            return
        under.struck[what] = time.monotonic() - begun
        print(f"{under.name}: {what} killed after {under.struck[what]:.0f} s", flush=True)

    threads = [threading.Thread(target=strike, args=(what,)) for what in kills]
    try:
        for number in range(1, SUBMITS + 1):
            run = f"{under.name}-{number}"
            client = under.desk.submit(file, run)
            assert client.stdout is not None
            if any(line.startswith(f"run {run} ") for line in client.stdout):
                under.run_id = patiently(partial(under.desk.run_id, run))
            if number == 1:
                for thread in threads:
                    thread.start()
            client.communicate()
            if under.desk.ended(run):
                return run, number
    finally:
        under.over.set()
        for thread in threads:
            if thread.ident:
                thread.join()
    raise RuntimeError(f"{file}: no run succeeded, {SUBMITS} were submitted")


def tracked_cells(desk: Desk, name: str) -> int:
    """Cells of an experiment that MLflow has whole, inside a run that is finished; ClusterError where it is away."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    key = parent_key(parse((desk.folder / f"{name}.yaml").read_text()))
    with forwarded(desk.connection, service="mlflow", namespace=MLFLOW, port_name="http") as address:
        client = MlflowClient(f"http://{address}")
        try:
            experiments = [experiment.experiment_id for experiment in client.search_experiments()]
            for parent in client.search_runs(experiments, f"tags.`{KEY}` = '{key}'"):
                cells = cells_inside(client, parent).values()
                if parent.info.status == "FINISHED":
                    return sum(cell.info.status == "FINISHED" and ROWS in cell.data.tags for cell in cells)
        except MlflowException as error:
            raise ClusterError(f"asking MLflow: {error}") from None
    return 0


@dataclass(frozen=True)
class Bench:
    """What all rounds share."""

    desk: Desk
    seeds: int
    empty: frozenset[str]
    """What the cluster held before."""

    @property
    def cells(self) -> int:
        """Of an experiment."""
        return VARIANTS * self.seeds

    def written(self, name: str) -> str:
        """File of an experiment of that name."""
        settings = (*SETTINGS, f"seeds={list(range(self.seeds))}")
        return self.desk.written("quickstart-language", settings, name=name)

    def judged(self, name: str, run: str) -> tuple[Results, list[Measured]]:
        """Results of an experiment's last run, then what MLflow lacks and what is left once it is forgotten."""
        made = patiently(lambda: self.desk.fetched(run))
        missing = self.cells - patiently(lambda: tracked_cells(self.desk, name))
        patiently(lambda: self.desk.forget(name))
        left = patiently(lambda: self.desk.collect(self.empty))
        if left:
            print(f"{name}: {len(left)} left {left}", flush=True)
        rows = [("cells that MLflow lacks", missing), ("left after gc", len(left))]
        return made, [Measured(what, number, "", 0) for what, number in rows]

    def round(
        self, name: str, kills: Mapping[str, Kill], whole: Results, *, moments: Mapping[str, float]
    ) -> list[Measured]:
        """Rows of one round."""
        under, begun = Round(self.desk, name, self.seeds), time.monotonic()
        file = self.written(name)
        run, runs = broken(under, file, kills, moments=moments)
        seconds = time.monotonic() - begun
        if patiently(lambda: tracked_cells(self.desk, name)) < self.cells:
            run, more = self.desk.finish(file, f"{name}-again")  # as docs/running.md says
            runs += more
        made, rows = self.judged(name, run)
        rows = [Measured("rows that differ", differing(whole, made), "rows", 0), *rows]
        rows.append(Measured("kills that found nothing to kill", len(kills) - len(under.struck), "", 0))
        return [*rows, Measured("runs", runs, ""), Measured("time to the last run's end", seconds, "s")]


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--images", type=Path, default=Path("build/images.json"))
    parser.add_argument("--namespace", default="kubeflow", help="of runs")
    parser.add_argument("--context", help="of the kubeconfig")
    parser.add_argument("--times", type=int, default=3, help="rounds")
    parser.add_argument("--seeds", type=int, default=4, help="cells of each of the two variants")
    parser.add_argument("--only", nargs="+", choices=(*KILLS, API_SERVER), help="[default: all]")
    parser.add_argument("--apart", action="store_true", help="one kill in an experiment, not all of them")
    parser.add_argument("--restart-api-server", metavar="COMMAND")
    given = parser.parse_args()
    known = dict(KILLS)
    if given.restart_api_server:
        known[API_SERVER] = partial(restart_api_server, given.restart_api_server)
    elif given.only and API_SERVER in given.only:
        parser.error(f"--only '{API_SERVER}' wants --restart-api-server")
    kills = {what: known[what] for what in given.only or known}
    connection, drawn = Connection(Access(given.context, given.namespace)), random.Random(0)
    desk = Desk(Path(tempfile.mkdtemp()), connection, given.images)
    stem = f"kills-{int(time.time()) % 10**6}"
    connection.pipelines  # noqa: B018 - made once, before there are threads
    desk.collect()
    bench = Bench(desk, given.seeds, desk.held())
    start, name = time.monotonic(), f"{stem}-w"
    run, _ = desk.finish(bench.written(name), name)
    seconds = time.monotonic() - start
    whole, rows = bench.judged(name, run)
    results = [Measured(f"unbroken run, {bench.cells} cells", seconds, "s")]
    results += [Measured(f"unbroken run: {one.measure}", one.value, one.unit, one.bar) for one in rows]
    groups = [{what: kill} for what, kill in kills.items()] if given.apart else [kills]
    for number, chosen in enumerate(group for group in groups for _ in range(given.times)):
        title = f"{next(iter(chosen))} {number % given.times + 1}" if given.apart else f"round {number + 1}"
        moments = {what: drawn.uniform(0, EARLY.get(what, LATEST)) * seconds for what in chosen}
        try:
            rows = bench.round(f"{stem}-{number}", chosen, whole, moments=moments)
        except Exception as error:
            print(f"{title}: {type(error).__name__}: {error}", flush=True)
            rows = [Measured("was not measured", 1, "", 0)]
        for one in rows:
            results.append(Measured(f"{title}: {one.measure}", one.value, one.unit, one.bar))
            print(f"{results[-1].measure}: {one.value:g} {one.unit}", flush=True)
    present(results, given.json)


if __name__ == "__main__":
    main()
