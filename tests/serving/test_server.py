"""The HTTP server: batches, limits, deadlines, mistakes, clients that hang, readiness, metrics, the end."""

import asyncio
import contextlib
import json
import math
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from precisionflow.serving.server.answering import Answering
from precisionflow.serving.server.guard import Guard
from precisionflow.serving.server.limits import Limits
from precisionflow.serving.server.measures import Measures, observe
from precisionflow.serving.server.process import SPARE, bound
from tests.served import BROKEN, POISON, Answer, Served, answer_in, doubling, passing, serving


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(
        doubling(), passing(), rows=100, waiting=100, body=2000, receive=0.5, connections=20
    ) as found:
        yield found


def until(holds: Callable[[], Any], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


OF = {"model": "m", "endpoint": "predict"}
PASSING = {"model": "m", "endpoint": "perception"}
NONE = {"model": "", "endpoint": ""}


def samples(served: Served, name: str) -> Iterator[tuple[dict[str, str], float]]:
    """(labels, value) of every series of that name, in their order."""
    for family in text_string_to_metric_families(served.get("/metrics").said):
        yield from ((each.labels, each.value) for each in family.samples if each.name == name)


def metric(served: Served, name: str, **labels: str) -> float:
    (found,) = [value for there, value in samples(served, name) if there == labels]
    return found


def waiting(served: Served) -> float:
    return metric(served, "precisionflow_rows_waiting", **OF)


def test_columns_in_columns_out(served: Served) -> None:
    found = served.ask({"x": [1, 2.5], "unread": ["a"]})
    assert found.said == {"columns": {"twice": [2, 5]}, "rows": 2, "arithmetic": "float32"}
    assert served.ask({"x": [1]}, level=0.5).said["columns"] == {"twice": [1]}
    found = served.ask({"x": [1]}, "/models/m/perception")
    assert found.said["columns"] == {"p": [[0.5, 0.5]]}
    assert (found.said["iterations"], found.said["converged"]) == (7, True)


def test_numbers_that_are_not_finite_are_null(served: Served) -> None:
    assert served.ask({"x": [1e308, 1e308 * 10]}).said["columns"]["twice"] == [None, None]


def test_requests_that_wait_are_answered_together_within_the_limit() -> None:
    endpoint = doubling(open_=False)
    with serving(endpoint, rows=4, waiting=40) as served, ThreadPoolExecutor(8) as clients:
        assert metric(served, "precisionflow_request_seconds_sum", **OF) == 0
        first = clients.submit(served.ask, {"x": [0]})
        until(lambda: endpoint.batches)
        asked: list[tuple[list[int], Any]] = []
        for index, rows in enumerate([2, 2, 3, 1, 1]):
            values = [10 * index + row for row in range(rows)]
            asked.append((values, clients.submit(served.ask, {"x": values})))
            accepted = 1 + sum(len(values) for values, _ in asked)
            until(lambda expected=accepted: waiting(served) == expected)
        endpoint.gate.set()
        assert first.result().said["columns"] == {"twice": [0]}
        for values, found in asked:
            assert found.result().said["columns"] == {"twice": [2 * value for value in values]}
    assert endpoint.batches == [[1], [2, 2], [3, 1], [1]]


def test_other_parameters_are_another_batch_and_the_oldest_comes_first() -> None:
    endpoint = doubling(open_=False)
    with serving(endpoint) as served, ThreadPoolExecutor(8) as clients:
        clients.submit(served.ask, {"x": [0]})
        until(lambda: endpoint.batches)
        for expected, (rows, level) in enumerate([(1, 0.5), (2, None), (3, 0.5)]):
            more = {} if level is None else {"level": level}
            clients.submit(served.ask, {"x": [1] * rows}, **more)
            until(lambda expected=1 + (1, 3, 6)[expected]: waiting(served) == expected)
        endpoint.gate.set()
    assert endpoint.batches == [[1], [1, 3], [2]]


def test_requests_that_share_no_batch_are_answered_one_by_one() -> None:
    endpoint = doubling(open_=False, alone=True)
    with serving(endpoint) as served, ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(served.ask, {"x": [1]}) for _ in range(3)]
        until(lambda: waiting(served) == 3)
        endpoint.gate.set()
        assert [each.result().said["columns"] for each in asked] == [{"twice": [2]}] * 3
    assert endpoint.batches == [[1], [1], [1]]


def test_a_batch_waits_for_more_no_longer_than_it_may() -> None:
    endpoint = doubling()
    with serving(endpoint, fill=0.4, rows=3, waiting=30) as served, ThreadPoolExecutor(4) as clients:
        start = time.monotonic()
        found = [clients.submit(served.ask, {"x": [1]}) for _ in range(2)]
        assert [each.result().status for each in found] == [200, 200]
        assert 0.3 < time.monotonic() - start < 3
        start = time.monotonic()
        assert served.ask({"x": [1, 2, 3]}).status == 200
        assert time.monotonic() - start < 0.3
    assert endpoint.batches == [[1, 1], [3]]


def test_a_full_queue_says_when_to_come_again_and_recovers() -> None:
    endpoint = doubling(open_=False)
    with serving(endpoint, rows=3, waiting=4) as served, ThreadPoolExecutor(4) as clients:
        accepted = [clients.submit(served.ask, {"x": [1, 2]}) for _ in range(2)]
        until(lambda: waiting(served) == 4)
        refused = served.ask({"x": [1]})
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert refused.said == {"error": "the queue is full; come again in 1 s", "field": None}
        assert served.get("/healthz").status == 200
        endpoint.gate.set()
        assert [each.result().status for each in accepted] == [200, 200]
        assert served.ask({"x": [1]}).status == 200
        assert waiting(served) == 0


def test_a_request_whose_deadline_passed_is_not_computed() -> None:
    endpoint = doubling(open_=False)
    with serving(endpoint) as served, ThreadPoolExecutor(4) as clients:
        first = clients.submit(served.ask, {"x": [0]})
        until(lambda: endpoint.batches)
        late = clients.submit(served.ask, {"x": [1, 1]}, deadline=0.01)
        patient = clients.submit(served.ask, {"x": [1, 1, 1]})
        until(lambda: waiting(served) == 6)
        time.sleep(0.02)
        endpoint.gate.set()
        assert late.result().status == 504
        assert late.result().said["error"].startswith("deadline: it passed before")
        assert (first.result().status, patient.result().status) == (200, 200)
    assert endpoint.batches == [[1], [3]]


def test_a_mistake_is_that_of_its_own_request() -> None:
    endpoint = doubling(open_=False)
    with serving(endpoint) as served, ThreadPoolExecutor(4) as clients:
        clients.submit(served.ask, {"x": [0]})
        until(lambda: endpoint.batches)
        good = clients.submit(served.ask, {"x": [1]})
        until(lambda: waiting(served) == 2)
        bad = clients.submit(served.ask, {"x": [2, POISON]})
        until(lambda: waiting(served) == 4)
        endpoint.gate.set()
        assert good.result().said["columns"] == {"twice": [2]}
        assert bad.result()[:2] == (422, {"error": "columns.x[1]: unlucky", "field": "columns.x[1]"})


def test_a_defect_is_told_in_the_log_alone_and_the_worker_goes_on(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    found = served.ask({"x": [BROKEN]})
    assert found[:2] == (
        500,
        {"error": "the server failed on this question; its log says why", "field": None},
    )
    assert "a defect" in caplog.text
    assert served.ask({"x": [1]}).status == 200


DEEP = '{"columns": {"x": ' + "[" * 900 + "]" * 900 + "}}"
MISTAKES: dict[str, tuple[Any, int, str, str]] = {
    "no JSON": ('{"columns": ', 400, "body", "body: is no JSON (EOF while parsing"),
    "nothing": ("", 400, "body", "body: is no JSON (EOF"),
    "no text": (b"\xff\xfe", 400, "body", "body: is no JSON ("),
    "deep": (DEEP, 400, "body", "body: is no JSON (recursion limit"),
    "a list": ("[1]", 400, "body", "body: input should be an object"),
    "no columns": ("{}", 422, "columns", "columns: field required"),
    "columns of nothing": ('{"columns": {}}', 422, "columns", "columns: dictionary should have at least 1"),
    "a row": ('{"columns": [{"x": 1}]}', 422, "columns", "columns: input should be an object"),
    "a cell": ('{"columns": {"x": 1}}', 422, "columns.x", "columns.x: input should be a valid array"),
    "another column": ('{"columns": {"y": [1]}}', 422, "columns.x", "columns.x: is missing"),
    "no row": ('{"columns": {"x": []}}', 422, "columns.x", "columns.x: is empty; give at least one row"),
    "a list as cell": (
        '{"columns": {"x": [1, [2]]}}',
        422,
        "columns.x[1]",
        "columns.x[1]: given a list; give",
    ),
    "an object": ('{"columns": {"x": [{}]}}', 422, "columns.x[0]", "columns.x[0]: given an object; give"),
    "many rows": (
        json.dumps({"columns": {"x": [1] * 101}}),
        422,
        "columns",
        "columns: has 101 rows; 100 are",
    ),
    "unknown key": (
        '{"columns": {"x": [1]}, "levl": 1}',
        422,
        "levl",
        "levl: extra inputs are not permitted",
    ),
    "a level": ('{"columns": {"x": [1]}, "level": 1}', 422, "level", "level: input should be less than 1"),
    "NaN": ('{"columns": {"x": [1]}, "deadline": NaN}', 422, "deadline", "deadline: input should be"),
    "no method": (
        '{"columns": {"x": [1]}, "recalibrated": "magic"}',
        422,
        "recalibrated",
        "recalibrated: predict of m takes none; leave it out",
    ),
    "oversize": ("x" * 2001, 413, "body", "body: given 2001 bytes; 2000 are the most, ask in parts"),
    "oversize in parts": (iter([b"x" * 1500] * 2), 413, "body", "body: more than 2000 bytes, the most there"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_its_field(served: Served, mistake: str) -> None:
    body, status, field, error = MISTAKES[mistake]
    found = served.send("POST", "/models/m/predict", body)
    assert (found.status, found.said["field"]) == (status, field)
    assert found.said["error"].startswith(error)
    assert "\n" not in found.said["error"]
    assert served.ask({"x": [1]}).status == 200


def test_what_there_is_not_is_told_with_what_there_is(served: Served) -> None:
    def refused(method: str, path: str) -> tuple[int, str]:
        found = served.send(method, path, "{}" if method == "POST" else None)
        return found.status, found.said["error"]

    assert refused("POST", "/models/other/predict") == (404, "model: given 'other'; there are m")
    assert refused("POST", "/models/m/plan") == (404, "endpoint: given 'plan'; m has predict, perception")
    assert refused("GET", "/") == (404, "/: is no path of this server; /openapi.json lists them")
    there = (404, "/models/m/predict/: is no path of this server; /openapi.json lists them")
    assert refused("POST", "/models/m/predict/") == there
    assert refused("GET", "/models/m/predict")[0] == refused("PUT", "/readyz")[0] == 405
    found = served.send("POST", "/models/m/predict", "x=1", kind="application/x-www-form-urlencoded")
    assert (found.status, found.said["field"]) == (415, "content-type")


HEAD = b"POST /models/m/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n"


def test_a_client_that_sends_a_large_body_whole_reads_why_it_is_refused(served: Served) -> None:
    """It reads no answer before all is sent: where the server closes before, it would be told of a reset alone."""
    for head in (b"Content-Length: 30000000", b"Transfer-Encoding: chunked"):
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
            connection.sendall(HEAD.replace(b"Content-Length: 30", head))
            chunked = b"chunked" in head
            for _ in range(3000):
                connection.sendall(b"2710\r\n" + b"x" * 10_000 + b"\r\n" if chunked else b"x" * 10_000)
            if chunked:
                connection.sendall(b"0\r\n\r\n")
            answer = b""
            while got := connection.recv(4096):
                answer += got
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"ask in parts" in answer
        assert answer.count(b"HTTP/1.1") == 1


def said_to(served: Served, *parts: bytes, pause: float = 0.0) -> bytes:
    """All that the server answers to bytes on a connection of its own, until it closes it."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        answer = b""
        while got := connection.recv(4096):
            answer += got
        return answer


@pytest.mark.parametrize(
    ("parts", "field"),
    [((), b"headers"), ((b"GET /he",), b"headers"), ((HEAD,), b"body"), ((HEAD, b"{"), b"body")],
)
def test_a_client_that_hangs_is_told_and_holds_nothing(
    served: Served, parts: tuple[bytes, ...], field: bytes
) -> None:
    with ThreadPoolExecutor(1) as hanging:
        answer = hanging.submit(said_to, served, *parts)
        assert served.ask({"x": [1]}).status == 200
        assert answer.result().startswith(b"HTTP/1.1 408 ")
        assert b'{"error":"%s: not there after 0.5 s' % field in answer.result()


def test_a_client_that_goes_away_holds_nothing(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(HEAD)
        until(lambda: served.server.server_state.tasks)
    until(lambda: not served.server.server_state.tasks)
    assert served.ask({"x": [1]}).status == 200


def test_a_client_that_takes_no_answer_is_cut_off() -> None:
    body = json.dumps({"columns": {"x": ["x" * 1_000_000]}}).encode()
    head = HEAD.replace(b"Content-Length: 30", b"Content-Length: %d" % len(body))
    endpoint = doubling()
    with serving(endpoint, receive=0.2) as served, socket.socket() as hanging:
        hanging.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        hanging.settimeout(5)
        hanging.connect(("127.0.0.1", served.port))
        with contextlib.suppress(ConnectionError):
            hanging.sendall((head + body) * 8)
        until(lambda: endpoint.batches)
        until(lambda: not served.server.server_state.connections)
        until(lambda: not served.server.server_state.tasks)
        assert served.ask({"x": [1]}).status == 200


def test_load_is_what_the_server_takes_not_what_a_client_takes_to_send_and_to_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, measures, flying = [0.0], Measures(), list[float]()
    monkeypatch.setattr("precisionflow.serving.server.guard.time.perf_counter", lambda: clock[0])

    def passes(seconds: float) -> None:
        clock[0] += seconds
        flying.append(measures.registry.get_sample_value("precisionflow_requests_in_flight") or 0)

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b"{}"
        passes(1)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"{}"})

    async def receive() -> Any:
        passes(10)
        return {"type": "http.request", "body": b"{}"}

    async def send(_message: Any) -> None:
        passes(100)

    asyncio.run(
        Guard(application, Limits(), measures)(
            {"type": "http", "method": "POST", "headers": [], "state": {}}, receive, send
        )
    )
    assert flying == [0, 1, 0, 0]
    assert measures.registry.get_sample_value("precisionflow_request_seconds_sum", NONE) == 1


def test_headers_that_trickle_on_a_kept_connection_end_too(served: Served) -> None:
    answer = said_to(served, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /", b"he", pause=0.1)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in answer


def test_what_is_no_http_is_told(served: Served) -> None:
    answer = said_to(served, b"hello\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"error":"request: invalid http request received; send HTTP/1.1"' in answer


def test_connections_have_a_limit(served: Served) -> None:
    until(lambda: len(served.server.server_state.connections) == 0)
    kept = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(20)]
    try:
        until(lambda: len(served.server.server_state.connections) == 20)
        health = served.get("/healthz")
        assert (health.status, health.headers["connection"]) == (200, "close")
        assert served.get("/readyz").status == 200
        refused = served.ask({"x": [1]})
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert refused.said["error"] == "20 connections are open, the most there may be; come again in 1 s"
        kept += [socket.create_connection(("127.0.0.1", served.port)) for _ in range(SPARE)]
        until(lambda: len(served.server.server_state.connections) == 20 + SPARE)
        answer = said_to(served)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in answer
    finally:
        for each in kept:
            each.close()
    until(lambda: len(served.server.server_state.connections) == 0)
    assert served.get("/healthz").status == 200


def test_not_ready_while_message_passing_does_not_converge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precisionflow.serving.server.application.PAUSE", 0.01)
    endpoint = passing(converges=False)
    with serving(endpoint) as served:
        until(lambda: "does not converge" in served.get("/readyz").said["error"])
        told = served.get("/readyz")
        assert (told.status, told.headers["retry-after"]) == (503, "1")
        assert metric(served, "precisionflow_ready") == 0
        assert served.get("/healthz").status == 200
        assert served.ask({"x": [1]}, "/models/m/perception").said["converged"] is False
        endpoint.converged[0] = True
        until(lambda: served.get("/readyz").status == 200)
        assert metric(served, "precisionflow_ready") == 1


def test_convergence_is_that_of_the_requests_own_rows() -> None:
    endpoint = passing()
    model = Answering("m", {"perception": endpoint}, limits=Limits(), measures=Measures())
    requests = [model.question(endpoint, b'{"columns": {"x": [%d]}}' % x) for x in (1, POISON)]
    said = [json.loads(text) for text in model._compute(requests[0].kind, requests)]  # type: ignore[arg-type]
    assert [(each["iterations"], each["converged"]) for each in said] == [(7, True), (6 + POISON, False)]


def test_an_example_that_is_a_defect_is_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    with serving(passing(defect=True)) as served:
        until(lambda: "a worker has ended" in served.get("/readyz").said["error"])
        assert served.get("/healthz").status == 200
    assert "a defect" in caplog.text


def test_metrics_are_numbers_in_seconds(served: Served) -> None:
    before = metric(served, "precisionflow_request_seconds_count", **OF)
    served.ask({"x": [1]})
    served.ask({"y": [1]})
    served.ask({"x": [1]}, "/models/m/perception")
    served.ask({"x": [1]}, "/models/a%20name%20that%20a%20client%20invents/predict")
    text = served.get("/metrics").said
    assert metric(served, "precisionflow_request_seconds_count", **OF) == before + 2
    assert metric(served, "precisionflow_requests_in_flight") == 0
    assert metric(served, "precisionflow_free_energy_nats", **PASSING) == 1.5
    assert metric(served, "precisionflow_iterations_bucket", **PASSING, le="10.0") >= 1
    assert 0 < metric(served, "elbo_computation_time_seconds_sum", **OF) < 60
    assert metric(served, "precisionflow_requests_total", **OF, status="422") >= 1
    assert "invents" not in text
    assert served.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")
    for line in text.splitlines():
        assert line.startswith("# ") or float(line.rsplit(" ", 1)[1]) >= 0
    for buckets in ("precisionflow_request_seconds_bucket", "precisionflow_batch_rows_bucket"):
        counts = [value for labels, value in samples(served, buckets) if OF.items() <= labels.items()]
        assert counts == sorted(counts)
        assert counts[-1] > 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_left_out_of_metrics(value: float) -> None:
    measures = Measures()
    measures.begin("m", "predict")
    energy, seconds = measures.free_energy.labels(*OF.values()), measures.seconds.labels(*OF.values())
    for each in (2.0, value):
        observe(energy, each)
        observe(seconds, each)
    text = measures.text().decode()
    found = {each.name: each.value for of in text_string_to_metric_families(text) for each in of.samples}
    assert found["precisionflow_free_energy_nats"] == 2
    assert found["precisionflow_request_seconds_sum"] == 2
    assert found["precisionflow_request_seconds_count"] == 1


def test_openapi_names_every_endpoint_with_its_columns(served: Served) -> None:
    paths = served.get("/openapi.json").said["paths"]
    assert {"/healthz", "/readyz", "/metrics", "/models", "/models/m/predict", "/models/m/perception"} == set(
        paths
    )
    asked = paths["/models/m/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert asked["properties"]["columns"]["required"] == ["x"]
    assert asked["properties"].keys() == {"columns", "level", "deadline", "tolerance"}
    assert {"200", "400", "413", "422", "503"} <= paths["/models/m/predict"]["post"]["responses"].keys()
    assert served.get("/models").said["m"]["predict"]["columns"] == {"x": "double"}


def test_what_was_accepted_is_answered_before_the_end() -> None:
    endpoint = doubling(open_=False)
    with serving(endpoint, drain=0.5) as served, ThreadPoolExecutor(4) as clients:
        idle = served.connected()
        idle.request("GET", "/healthz")
        assert "connection" not in answer_in(idle.getresponse()).headers
        accepted = [clients.submit(served.ask, {"x": [index]}) for index in range(3)]
        until(lambda: waiting(served) == 3)
        served.server.handle_exit(signal.SIGTERM, None)
        assert served.get("/readyz")[:2] == (503, {"error": "the server is shutting down", "field": None})
        idle.request("GET", "/healthz")
        assert answer_in(idle.getresponse()).headers["connection"] == "close"
        while_draining = clients.submit(served.ask, {"x": [3]})
        until(lambda: waiting(served) == 4)
        until(lambda: not _listens(served.port))
        endpoint.gate.set()
        found: list[Answer] = [each.result() for each in (*accepted, while_draining)]
    assert [each.status for each in found] == [200] * 4
    assert [each.said["columns"]["twice"] for each in found] == [[0], [2], [4], [6]]


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"rows": 0}, "rows: given 0; give a number above 0"),
        ({"deadline": float("nan")}, "deadline: given nan; give seconds above 0, 86400 at most"),
        ({"deadline": float("inf")}, "deadline: given inf; give"),
        ({"receive": float("inf")}, "receive: given inf; give"),
        ({"fill": float("inf")}, "fill: given inf; give"),
        ({"drain": -1}, "drain: given -1; give 0 to 86400 seconds"),
        ({"rows": 10, "waiting": 9}, "waiting: given 9, fewer than the 10 rows of one request"),
    ],
)
def test_limits_that_let_nothing_through_are_refused(limits: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Limits(**limits)  # type: ignore[arg-type]


def test_an_address_that_cannot_be_had_is_told() -> None:
    with bound("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=rf"^--host 127.0.0.1 --port {port}: cannot listen there"):
            bound("127.0.0.1", port)
    with pytest.raises(ValueError, match=r"^--host no.such.host.invalid --port 0: cannot listen there"):
        bound("no.such.host.invalid", 0)
    for port in (-1, 65_536):
        with pytest.raises(ValueError, match=rf"^--port: given {port}; give 0 to 65535"):
            bound("127.0.0.1", port)
