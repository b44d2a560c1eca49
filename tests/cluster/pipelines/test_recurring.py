"""Recurring runs by name and by id: what they have started, their end, and what is asked of them in vain."""

import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from kubernetes import client

from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.pipelines import cancel, status
from precisionflow.cluster.pipelines.runs import find_run
from tests.invented_cluster import ApiServer, Json

START = "2026-01-02T03:00:00Z"


def started(name: str, *, by: str | None, state: str = "SUCCEEDED") -> Json:
    told = {"run_id": f"id-of-{name}", "display_name": name, "state": state, "experiment_id": "e"}
    return told | {"created_at": START, "finished_at": "2026-01-02T03:02:05Z", "recurring_run_id": by}


class Schedules(ApiServer):
    """KFP's API with the recurring runs `nightly` and `idle`, and runs of one experiment."""

    def __init__(self) -> None:
        super().__init__()
        self.recurring = {
            identity: {
                "recurring_run_id": identity,
                "display_name": name,
                "experiment_id": "e",
                "status": "ENABLED",
                "trigger": {"cron_schedule": {"cron": "0 0 3 * * *"}},
            }
            for identity, name in (("c1", "nightly"), ("c2", "idle"))
        }
        self.runs = [started("by-hand", by=None)]

    def answer(self, verb: str, path: str, *, query: str, body: Json) -> tuple[int, Any]:  # noqa: ARG002
        kind, _, identity = path.rstrip("/").partition("/v2beta1/")[2].partition("/")
        if kind == "healthz":
            return 200, {"multi_user": False}
        if identity:
            if verb == "DELETE":
                return (200, {}) if self.recurring.pop(identity, None) else (404, {"message": "none"})
            found = [run for run in self.runs if run["run_id"] == identity]
            return (200, found[0]) if found else (404, {"message": "none"})
        given = json.loads(parse_qs(query).get("filter", ["{}"])[0]).get("predicates", [])
        names = [one["stringValue"] for one in given]
        every = list(self.recurring.values()) if kind == "recurringruns" else self.runs
        held = "recurringRuns" if kind == "recurringruns" else "runs"
        return 200, {held: [one for one in every if not names or one["display_name"] in names]}


@pytest.fixture
def schedules(monkeypatch: pytest.MonkeyPatch) -> Iterator[Schedules]:
    made = Schedules()
    with made.running():

        def connected(access: Access) -> Connection:
            connection = Connection(access)
            connection.__dict__["api"] = client.ApiClient(client.Configuration())
            return connection

        for room in (cancel, status):
            monkeypatch.setattr(room, "Connection", connected)
        yield made


def access(schedules: Schedules) -> Access:
    return Access(namespace="here", host=schedules.address)


def shown(name: str, schedules: Schedules) -> list[str]:
    screen = io.StringIO()
    status.print_status(name, access=access(schedules), screen=screen)
    return screen.getvalue().splitlines()


@pytest.mark.parametrize("given", ["nightly", "c1"])
def test_its_schedule_and_the_runs_that_it_has_started(given: str, schedules: Schedules) -> None:
    schedules.runs += [started("one", by="c1"), started("other", by="c2")]
    schedules.runs += [started("last", by="c1", state="RUNNING")]
    assert shown(given, schedules) == [
        "recurring run nightly (c1): '0 0 3 * * *', enabled",
        "  run one (id-of-one): succeeded after 2 min 5 s",
        "  run last (id-of-last): running",
    ]


def test_of_many_runs_the_last_ones_are_shown(schedules: Schedules) -> None:
    schedules.runs += [started(f"run-{number}", by="c1") for number in range(8)]
    assert shown("nightly", schedules)[-1] == "  and 3 earlier"
    assert shown("idle", schedules)[1:] == ["  none has been started yet"]


def test_it_ends_and_a_run_under_way_goes_on(
    schedules: Schedules, capsys: pytest.CaptureFixture[str]
) -> None:
    schedules.runs += [started("last", by="c1", state="RUNNING"), started("other", by="c2", state="RUNNING")]
    cancel.cancel_run("nightly", access=access(schedules))
    assert capsys.readouterr().out.splitlines() == [
        "recurring run nightly (c1): starts no more runs",
        "run last goes on; `precisionflow cancel last` stops it",
    ]
    assert list(schedules.recurring) == ["c2"]


def test_what_is_of_one_run_names_those_that_it_has_started(schedules: Schedules) -> None:
    schedules.runs += [started("one", by="c1")]
    connection = Connection(access(schedules))
    connection.__dict__["api"] = client.ApiClient(client.Configuration())
    with pytest.raises(
        ValueError, match=r"'nightly' is a recurring run; give one of its runs, the last ones are: one"
    ):
        find_run("nightly", connection=connection)
    with pytest.raises(ValueError, match="unknown run 'nowhere'; the last ones are: by-hand, one"):
        find_run("nowhere", connection=connection)
