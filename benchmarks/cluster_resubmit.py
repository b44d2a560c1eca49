"""An experiment of 8 cells on two tables of one's own, on a cluster: submitted, submitted again unchanged, as a run of
its own too, and again with one row of one table changed. How many cells are trained, and how long is it to the report?

The tables are brought to the workspace and removed in the end. It needs no cluster of its own.
"""

import re
import tempfile
import time
from pathlib import Path

import numpy as np
from cluster_runs import Desk
from measured import Measured, arguments, present

from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.pipelines.runs import called
from precisionflow.results.layout import Reported, Results

ROWS = 240
EXPERIMENT = """
name: {name}
question: Are unchanged cells trained again?
task:
  kind: regression
  source: {{kind: table_file, path: {name}-a.csv, target: y}}
model: {{kind: mlp, hidden: [16]}}
objective: {{kind: gaussian_nll}}
training: {{steps: 200, validate_every: 50}}
seeds: [0, 1]
splits: [0, 1]
ablation:
  axes:
    table: {{a: {{task.source.path: {name}-a.csv}}, b: {{task.source.path: {name}-b.csv}}}}
"""
_TRAINED = re.compile(r"train \S+ (\S+) \S+ seed \d+ split \d+: step (\d+)/\2,")


def write_table(file: Path, *, seed: int) -> None:
    """A target with noise that grows with the input."""
    drawn = np.random.default_rng(seed)
    x = drawn.uniform(size=ROWS)
    y = np.sin(6 * x) + drawn.normal(size=ROWS) * (0.1 + x)
    rows = [f"{one:.6f},{other:.6f}" for one, other in zip(x, y, strict=True)]
    file.write_text("\n".join(["x,y", *rows]) + "\n")


def put(desk: Desk, *files: Path) -> None:
    """Bring tables to the workspace."""
    code, said = desk("data", "put", *map(str, files), "--overwrite")
    if code:
        raise RuntimeError(said)


def submitted(desk: Desk, name: str, number: int) -> tuple[float, dict[str, int]]:
    """Seconds to the report of a run on this machine, and the cells that it trained: data set -> number."""
    run, start = f"{name}-{number}", time.monotonic()
    said, _ = desk.submit(f"{name}.yaml", run).communicate()
    if not desk.ended(run):
        raise RuntimeError(said)
    desk.fetched(run)
    seconds = time.monotonic() - start
    _, log = desk("logs", run)
    found = [match[1] for match in _TRAINED.finditer(log)]
    return seconds, {dataset: found.count(dataset) for dataset in (f"{name}-a", f"{name}-b")}


def unchanged(desk: Desk, name: str) -> tuple[float, int]:
    """Seconds to the report of a submission that gives no name, and the runs that it began."""
    before, start = number_of_runs(desk, name), time.monotonic()
    code, said = desk("submit", f"{name}.yaml", "--wait")
    if code:
        raise RuntimeError(said)
    run = said.strip().rsplit(" ", 1)[1]
    desk("fetch", run, "--out", str(desk.folder / "again"))
    if not Reported(Results(desk.folder / "again").report).page.exists():
        raise RuntimeError(said)
    return time.monotonic() - start, number_of_runs(desk, name) - before


def number_of_runs(desk: Desk, name: str) -> int:
    """Runs of the experiment that KFP knows."""
    client = desk.connection.pipelines
    (experiment,) = client.list_experiments(filter=called(name)).experiments
    return int(client.list_runs(experiment_id=experiment.experiment_id, page_size=1).total_size)


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--images", type=Path, default=Path("build/images.json"))
    parser.add_argument("--namespace", default="kubeflow", help="of runs")
    parser.add_argument("--context", help="of the kubeconfig")
    given = parser.parse_args()
    folder, name = Path(tempfile.mkdtemp()), f"resubmit-{int(time.time()) % 10**6}"
    desk = Desk(folder, Connection(Access(given.context, given.namespace)), given.images)
    tables = [folder / f"{name}-{which}.csv" for which in "ab"]
    (folder / f"{name}.yaml").write_text(EXPERIMENT.format(name=name))
    for seed, table in enumerate(tables):
        write_table(table, seed=seed)
    put(desk, *tables)
    try:
        first_seconds, first = submitted(desk, name, 1)
        seconds, runs = unchanged(desk, name)
        cached_seconds, again = submitted(desk, name, 2)
        head, row, *rest = tables[0].read_text().splitlines()
        tables[0].write_text("\n".join([head, row[:-1] + ("1" if row[-1] == "0" else "0"), *rest]) + "\n")
        put(desk, tables[0])
        changed_seconds, changed = submitted(desk, name, 3)
    finally:
        desk("data", "rm", *(table.name for table in tables))
        desk.forget(name)
    a, b = first
    results = [
        Measured("first run: cells", sum(first.values()), ""),
        Measured("first run: cells that are missing", 8 - sum(first.values()), "", 0),
        Measured("first run: seconds to the report", first_seconds, "s"),
        Measured("unchanged: runs begun", runs, "", 0),
        Measured("unchanged: seconds to the report", seconds, "s", 60),
        Measured("unchanged, with a name: cells trained", sum(again.values()), "", 0),
        Measured("unchanged, with a name: seconds to the report", cached_seconds, "s"),
        Measured("one row changed: cells that read it and were not trained", 4 - changed[a], "", 0),
        Measured("one row changed: other cells trained", changed[b], "", 0),
        Measured("one row changed: seconds to the report", changed_seconds, "s"),
    ]
    present(results, given.json)


if __name__ == "__main__":
    main()
