"""Serving: 1,000 patches of 13 channels at 60 Hz, then overload and what follows.

A patch is a row of 13 features, the model a network of two layers. A time begins when a request is due, so that it has
all queueing in it, that of the client too. Server and client share the cores. After them a policy of the T-maze asked
for its plan 60 times a second, and a reader of images shown one of 9 patches 10 times a second, neither trained. Ten
minutes of requests and two around them:

    python benchmarks/serving.py --seconds 600
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy as np
from measured import Measured, arguments, present

RATE, ROWS, FEATURES = 60.0, 1000, 13
LATE = 0.016
"""Seconds that 99 of 100 answers may take."""
FAILED = 0
"""In place of a status: no answer, or one that does not say so many rows."""
CONNECTIONS = 4
FRAMES = 10.0
"""Images a second."""
WAITING = 4 * ROWS
"""Most rows that the server accepts: more clients than it has room for meet 503."""
EXPERIMENT = """
name: patches
question: How long does a served prediction take?
task: {{kind: regression, source: {{kind: table_file, path: {table}, target: y}}}}
model: {{kind: mlp, hidden: [64, 64]}}
objective: {{kind: gaussian_nll}}
training: {{steps: 200, validate_every: 100}}
engine: {{kind: torch, device: cpu}}
seeds: [0]
splits: [0]
"""


def trained(folder: Path) -> Path:
    """The cell of a network with two hidden layers of 64 units and two heads."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(2000, FEATURES))
    target = rows @ random.normal(size=FEATURES) + random.normal(size=2000)
    names = [f"channel_{i}" for i in range(FEATURES)]
    whole = np.column_stack([rows, target])
    np.savetxt(
        folder / "table.csv", whole, delimiter=",", header=",".join([*names, "y"]), comments="", fmt="%.5f"
    )
    (folder / "patches.yaml").write_text(EXPERIMENT.format(table=folder / "table.csv"))
    command = [sys.executable, "-m", "precisionflow"]
    out = folder / "results"
    for verb, *words in (
        ("prepare", "--out", out / "data"),
        ("train", "--data", out / "data", "--out", out / "model" / "patches" / "table" / "one"),
    ):
        subprocess.run(
            [*command, verb, str(folder / "patches.yaml"), *map(str, words)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return next((out / "model").rglob("model.json")).parent


def untrained(name: str, folder: Path, *settings: str) -> Path:
    """The cell of a shipped experiment after one step."""
    alone = ("seeds=[0]", "ablation.axes={}", "ablation.datasets={}")
    once = ("training.steps=1", "training.warmup_steps=0")
    words = [word for setting in (*alone, *once, *settings) for word in ("--set", setting)]
    command = [sys.executable, "-m", "precisionflow", "run", name, "--out", str(folder), *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return next((folder / "model").rglob("model.json")).parent


@contextlib.contextmanager
def server(cell: Path, data: Path) -> Iterator[tuple[str, str]]:
    """Address and path of `predict` of a server in a process of its own."""
    words = ["serve", f"patches={cell}", "--data", data, "--port", "0", "--waiting", WAITING, "--rows", ROWS]
    command = [sys.executable, "-m", "precisionflow", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address, _, path = process.stdout.readline().split("http://")[1].strip().partition("/")
        try:
            while _ask(HTTPConnection(address, timeout=10), "GET", "/readyz", None)[0] != 200:
                time.sleep(0.1)
            yield address, f"/{path}"
        finally:
            process.terminate()


def _ask(connection: HTTPConnection, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
    connection.request(method, path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, response.read()


def _answered(connection: HTTPConnection, path: str, body: bytes, rows: int) -> int:
    """Status of an answer; FAILED where none comes or a good one is not whole."""
    try:
        status, text = _ask(connection, "POST", path, body)
    except (OSError, HTTPException):
        connection.close()
        return FAILED
    return status if status != 200 or f'"rows":{rows},'.encode() in text[-100:] else FAILED


def paced(
    address: str, path: str, bodies: Sequence[bytes], *, seconds: float, rate: float = RATE, rows: int = ROWS
) -> tuple[np.ndarray, Counter[int]]:
    """Seconds from when each request was due to its answer, whenever it could be sent; statuses."""
    count, lock, taken = int(seconds * rate), threading.Lock(), iter(range(int(seconds * rate)))
    times, statuses = np.zeros(count), Counter[int]()
    begun = time.perf_counter() + 0.2

    def work() -> None:
        connection = HTTPConnection(address, timeout=30)
        while True:
            with lock:
                index = next(taken, None)
            if index is None:
                return
            due = begun + index / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            status = _answered(connection, path, bodies[index % len(bodies)], rows)
            times[index] = time.perf_counter() - due
            with lock:
                statuses[status] += 1

    _together(work, CONNECTIONS)
    return times, statuses


def flooded(address: str, path: str, body: bytes, *, clients: int, seconds: float) -> Counter[str]:
    """Statuses of clients that ask again at once; a refusal without Retry-After is a status of its own."""
    end, found = time.perf_counter() + seconds, Counter[str]()

    def work() -> None:
        connection = HTTPConnection(address, timeout=30)
        while time.perf_counter() < end:
            try:
                connection.request("POST", path, body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
            except (OSError, HTTPException):
                connection.close()
                found["none"] += 1
                continue
            known = response.status != 503 or response.headers.get("Retry-After", "").isdigit()
            found[str(response.status) if known else "503 without Retry-After"] += 1

    _together(work, clients)
    return found


def _together(work: object, clients: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(clients)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def others(folder: Path, seconds: float) -> Iterator[Measured]:
    """Times of a plan of a policy and of the tokens of an image."""
    random = np.random.default_rng(2)
    history = {"observations": ["0 0; 1 0"], "actions": ["1"]}
    for name, endpoint, settings, rate in (
        ("t-maze", "planning", (), RATE),
        ("allocation", "patches", ("model.allocation.kind=precision",), FRAMES),
    ):
        cell = untrained(name, folder / name, *settings)
        with server(cell, folder / name / "data") as (address, path):
            asked = _ask(HTTPConnection(address, timeout=10), "GET", "/models", None)[1]
            taken = json.loads(asked)["patches"][endpoint]["columns"]
            columns = history if endpoint == "planning" else {of: random.random(1).tolist() for of in taken}
            body, path = json.dumps({"columns": columns}).encode(), path.replace("predict", endpoint)
            paced(address, path, [body], seconds=1, rate=rate, rows=1)
            times, statuses = paced(address, path, [body], seconds=min(seconds, 60.0), rate=rate, rows=1)
        for of, share in (("median", 0.5), ("99 of 100", 0.99)):
            value = 1e3 * float(np.quantile(times, share))
            yield Measured(f"{endpoint} at {rate:g} a second: {of}", value, "ms")
        yield Measured(f"{endpoint}: answers but 200", len(times) - statuses[200], "1", bar=0)


def main() -> None:
    """Print a table of times with queueing, errors and refusals."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of requests at 60 a second")
    given = parser.parse_args()
    random = np.random.default_rng(1)
    bodies = [
        json.dumps(
            {"columns": {f"channel_{i}": random.normal(size=ROWS).round(4).tolist() for i in range(FEATURES)}}
        ).encode()
        for _ in range(20)
    ]
    with tempfile.TemporaryDirectory() as folder:
        cell = trained(Path(folder))
        with server(cell, Path(folder) / "results" / "data") as (address, path):
            paced(address, path, bodies, seconds=2)
            times, statuses = paced(address, path, bodies, seconds=given.seconds)
            overload = flooded(address, path, bodies[0], clients=12, seconds=3)
            after, recovered = paced(address, path, bodies, seconds=min(5.0, given.seconds))
        rest = [*others(Path(folder), given.seconds)]
    wrong = len(times) - statuses[200] + len(after) - recovered[200]
    total = sum(overload.values())
    late = np.flatnonzero(after > LATE)
    present(
        [
            Measured("requests of 1,000 patches", len(times), "1"),
            Measured("requests a second", RATE, "1/s"),
            Measured("time with queueing, median", 1e3 * float(np.median(times)), "ms"),
            Measured(
                "time with queueing, 99 of 100", 1e3 * float(np.quantile(times, 0.99)), "ms", bar=1e3 * LATE
            ),
            Measured("share of answers later than 16 ms", float(np.mean(times > LATE)), "1"),
            Measured("time with queueing, longest", 1e3 * float(times.max()), "ms"),
            Measured("answers but 200", wrong, "1", bar=0),
            Measured("overload: requests", total, "1"),
            Measured("overload: share of 503", overload["503"] / total, "1"),
            Measured("overload: no 503 at all", float(not overload["503"]), "1", bar=0),
            Measured(
                "overload: answers but 200 and 503", total - overload["200"] - overload["503"], "1", bar=0
            ),
            Measured("after it: 99 of 100", 1e3 * float(np.quantile(after, 0.99)), "ms", bar=1e3 * LATE),
            Measured(
                "after it: the last later than 16 ms", (late.max() + 1) / RATE if len(late) else 0.0, "s"
            ),
            *rest,
        ],
        given.json,
    )


if __name__ == "__main__":
    main()
