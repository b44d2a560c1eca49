"""A served model on a cluster whose pods are deleted under load: requests that were sent and got no answer, and the
most replicas that the autoscaler made meanwhile.

`manifests/serving` is installed and its pods are ready. A pod beside them asks the Service, each request on a
connection of its own, and again at once where nobody takes the connection: such a request was not accepted.
Pods are deleted as a drained node deletes them, at random moments.
"""

import json
import random
import threading
import time
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import Any

from measured import Measured, arguments, present
from precisionflow.components.images import image_references

from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.short_pod import Work, answer

ROW = '{"observations": "0 0; 1 0", "actions": "1"}'
"""A history of an agent's."""
LOOK = 1.0
"""Seconds between looks at the replicas."""
STARTED = 30.0
"""Seconds before the first pod is deleted: the pod that asks has started then."""
PROGRAM = """
import collections, http.client, json, random, sys, threading, time
host, endpoint, body, clients, seconds = sys.argv[1:]
end, counts, times, lock = time.time() + float(seconds), collections.Counter(), [], threading.Lock()
first = http.client.HTTPConnection(host, timeout=30)
first.request("GET", "/models")
name, endpoints = next(iter(json.loads(first.getresponse().read()).items()))
path = f"/models/{name}/{endpoint}"
if not json.loads(body)["columns"]:
    body = json.dumps({"columns": {column: [random.random()] for column in endpoints[endpoint]["columns"]}})

def work():
    while time.time() < end:
        begun, line = time.time(), http.client.HTTPConnection(host, timeout=30)
        try:
            line.connect()
        except OSError:
            what = "not accepted"
            time.sleep(0.05)
        else:
            try:
                line.request("POST", path, body, {"Content-Type": "application/json"})
                response = line.getresponse()
                response.read()
                what = str(response.status)
            except (OSError, http.client.HTTPException) as error:
                what = f"lost: {type(error).__name__}"
        finally:
            line.close()
        with lock:
            counts[what] += 1
            if what == "200":
                times.append(time.time() - begun)

threads = [threading.Thread(target=work) for _ in range(int(clients))]
for thread in threads: thread.start()
for thread in threads: thread.join()
times.sort()
print(json.dumps({"counts": counts, "median": times[len(times) // 2], "late": times[int(0.99 * len(times))]}))
"""
"""What the pod runs that asks; the standard library alone."""


def ready_pods(connection: Connection, name: str) -> list[str]:
    """Pods of a Deployment that its Service sends requests to."""
    pods = connection.core.list_namespaced_pod(
        connection.namespace, label_selector=f"app.kubernetes.io/name={name}"
    ).items
    return [
        pod.metadata.name
        for pod in pods
        if pod.metadata.deletion_timestamp is None
        and any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or ())
    ]


def asked_for() -> Namespace:
    """What the command line says."""
    parser = arguments(__doc__)
    parser.add_argument("--images", type=Path, default=Path("build/images.json"))
    parser.add_argument("--namespace", default="precisionflow", help="of the served models")
    parser.add_argument("--context", help="of the kubeconfig")
    parser.add_argument("--deployment", default="serve-perception")
    parser.add_argument("--endpoint", default="perception")
    parser.add_argument(
        "--row",
        default=ROW,
        help="cells of a question's columns, as JSON; {}: a number for each that the model takes",
    )
    parser.add_argument("--rows", type=int, default=1, help="of a request")
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--times", type=int, default=3, help="pods that are deleted")
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    given = asked_for()
    connection = Connection(Access(given.context, given.namespace))
    row = json.loads(given.row)
    question = json.dumps({"columns": {name: [cell] * given.rows for name, cell in row.items()}})
    asked = ("python3", "-c", PROGRAM, given.deployment, given.endpoint, question)
    command = (*asked, str(given.clients), str(given.seconds))
    found: dict[str, Any] = {}

    def load() -> None:
        work = Work(image_references(given.images)["core"], command, seconds=int(given.seconds) + 120)
        with answer(connection, "load", work) as said:
            found.update(json.loads(said.said.splitlines()[-1]) if said.code == 0 else {"error": said.said})

    before = len(ready_pods(connection, given.deployment))
    asking, begun = threading.Thread(target=load), time.monotonic()
    asking.start()
    moments = sorted(random.uniform(STARTED, given.seconds) for _ in range(given.times))
    most, deleted = before, 0
    while asking.is_alive():
        ready = ready_pods(connection, given.deployment)
        most = max(most, len(ready))
        if moments and time.monotonic() - begun > moments[0] and len(ready) > 1:
            moments.pop(0)
            deleted += 1
            connection.core.delete_namespaced_pod(random.choice(ready), given.namespace)
        time.sleep(LOOK)
    asking.join()
    if "error" in found:
        raise RuntimeError(found["error"])
    counts = Counter[str](found["counts"])
    lost = {what: number for what, number in counts.items() if what.startswith("lost")}
    print(f"deleted {deleted} pods; {dict(counts)}", flush=True)
    results = [
        Measured("requests answered with 200", counts["200"], "1"),
        Measured("refused with 503", counts["503"], "1"),
        Measured("connections that nobody took", counts["not accepted"], "1"),
        Measured("pods deleted under load", deleted, "1"),
        Measured("pods not deleted", given.times - deleted, "1", 0),
        Measured("accepted requests that were lost", sum(lost.values()), "1", 0),
        Measured("time to an answer, median", found["median"], "s"),
        Measured("time to an answer, 99 of 100", found["late"], "s"),
        Measured("ready replicas before", before, "1"),
        Measured("most ready replicas", most, "1"),
    ]
    present(results, given.json)


if __name__ == "__main__":
    main()
