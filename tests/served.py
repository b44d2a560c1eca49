"""A server of invented endpoints in a thread of this process, and a client."""

import contextlib
import json
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Any, NamedTuple

import pandas as pd

from precisionflow.data.readers.mistakes import CellError
from precisionflow.serving.answers.contract import Contract
from precisionflow.serving.endpoints.endpoint import Answered, Columns, Endpoint, Given, taken
from precisionflow.serving.server.answering import Answering
from precisionflow.serving.server.limits import Limits
from precisionflow.serving.server.measures import Measures
from precisionflow.serving.server.process import Server, bound, server_of

POISON, BROKEN = 13, 666


@dataclass(frozen=True)
class Doubling(Endpoint):
    """Twice x. It waits while the gate is shut; 13 is a mistake that shows only when it is computed, 666 a defect."""

    gate: threading.Event = field(default_factory=threading.Event)
    batches: list[list[int]] = field(default_factory=list)
    """Rows of each request of every batch."""
    alone: bool = False

    @property
    def apart(self) -> bool:
        return self.alone

    def read(self, columns: Columns) -> Given:
        values = taken(columns, ["x"])["x"].to_pylist()
        return Given(len(values), values)

    def answer(self, given: Sequence[Any], params: Mapping[str, Any]) -> Answered:
        self.batches.append([len(values) for values in given])
        self.gate.wait(10)
        rows = [x for values in given for x in values]
        if POISON in rows:
            row = rows.index(POISON)
            raise CellError(f"row {row}: unlucky", column="x", row=row, problem="unlucky")
        if BROKEN in rows:
            raise RuntimeError("a defect")
        return Answered(pd.DataFrame({"twice": [2 * x * params.get("level", 1) for x in rows]}))


@dataclass(frozen=True)
class Passing(Endpoint):
    """Message passing of 6 + x iterations that converges where the list says so, of x = 13 never, or is a defect."""

    passes_messages = True
    converged: list[bool] = field(default_factory=lambda: [True])
    defect: bool = False

    def read(self, columns: Columns) -> Given:
        return Given(1, columns)

    def answer(self, given: Sequence[Any], params: Mapping[str, Any]) -> Answered:  # noqa: ARG002
        if self.defect:
            raise RuntimeError("a defect")
        frame = pd.DataFrame({"p": [[0.5, 0.5]] * len(given)})
        x = [int(columns["x"][0]) for columns in given]
        converged = [self.converged[0] and each != POISON for each in x]
        return Answered(frame, [6 + each for each in x], [1.5] * len(given), converged)

    def example(self) -> Columns:
        return {"x": [0]}


def doubling(*, open_: bool = True, alone: bool = False) -> Doubling:
    contract = Contract.of({"x": "double"}, {"twice": "double"}, level=("double", 0.95))
    found = Doubling("predict", contract, alone=alone)
    if open_:
        found.gate.set()
    return found


def passing(*, converges: bool = True, defect: bool = False) -> Passing:
    contract = Contract.of({"x": "double"}, {"p": "array of double"})
    return Passing("perception", contract, [converges], defect)


class Answer(NamedTuple):
    status: int
    said: Any
    headers: Mapping[str, str]


@dataclass
class Served:
    """A running server."""

    server: Server
    port: int

    def get(self, path: str) -> Answer:
        return self.send("GET", path)

    def ask(self, columns: Any, path: str = "/models/m/predict", **more: Any) -> Answer:
        return self.send("POST", path, json.dumps({"columns": columns, **more}))

    def send(
        self, method: str, path: str, body: Any = None, *, kind: str | None = "application/json"
    ) -> Answer:
        connection = self.connected()
        with contextlib.closing(connection):
            connection.request(method, path, body, {} if kind is None else {"Content-Type": kind})
            return answer_in(connection.getresponse())

    def connected(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=10)


def answer_in(response: HTTPResponse) -> Answer:
    text = response.read()
    json_ = response.headers.get_content_type() == "application/json"
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, json.loads(text) if json_ else text.decode(), headers)


@contextlib.contextmanager
def serving(*endpoints: Endpoint, **limits: Any) -> Iterator[Served]:
    """The endpoints as those of model m."""
    bounds, measures = Limits(**limits), Measures()
    model = Answering("m", {each.name: each for each in endpoints}, limits=bounds, measures=measures)
    up = threading.Event()
    server = server_of([model], measures, limits=bounds, started=up.set)
    with bound("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            assert up.wait(10)
            yield Served(server, listening.getsockname()[1])
        finally:
            for endpoint in endpoints:
                if isinstance(endpoint, Doubling):
                    endpoint.gate.set()
            server.handle_exit(signal.SIGINT, None)
            thread.join(20)
            assert not thread.is_alive()
