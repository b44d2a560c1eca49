"""Recurring runs by name and by id: what they have started, their end, and what is asked of them in vain."""

import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from kubernetes import client

from precisionflow.cluster.access.connection import Access, Connection
from precisionflow.cluster.access.kinds import WORKFLOWS
from precisionflow.cluster.pipelines import cancel, status
from precisionflow.cluster.pipelines.runs import find_run
from tests.invented_cluster import ApiServer, Json

START = "2026-01-02T03:00:00Z"
PLACE = f"/apis/{WORKFLOWS.api_version}/namespaces/here/{WORKFLOWS.plural}"


def started(name: str, *, by: str | None, state: str = "SUCCEEDED") -> Json:
    told = {"run_id": f"id-of-{name}", "display_name": name, "state": state, "experiment_id": "e"}
    return told | {"created_at": START, "finished_at": "2026-01-02T03:02:05Z", "recurring_run_id": by}


def workflow(name: str, *owners: str) -> Json:
    return {"metadata": {"name": name, "ownerReferences": [{"uid": owner} for owner in owners]}}


class Schedules(ApiServer):
    """KFP's API with the recurring runs `nightly` and `idle` and runs of one experiment; Kubernetes' with workflows."""

    def __init__(self) -> None:
        super().__init__()
        self.recurring = {
            identity: {
                "recurring_run_id": identity,
                "display_name": name,
                "experiment_id": "e",
                "status": "ENABLED",
                "created_at": START,
                "trigger": {"cron_schedule": {"cron": "0 0 3 * * *"}},
            }
            for identity, name in (("c1", "nightly"), ("c2", "idle"))
        }
        self.runs = [started("by-hand", by=None)]
        """The oldest first."""
        self.forbidden = False
        self.workflows: list[Json] = []

    def end(self, identity: str) -> Json:
        """Delete a recurring run, and with it the workflows that it owns."""
        owned = [of for of in self.workflows if {"uid": identity} in of["metadata"]["ownerReferences"]]
        self.workflows = [of for of in self.workflows if of not in owned]
        assert self.recurring[identity]["status"] == "DISABLED", "one more run may begin"
        return self.recurring.pop(identity)

    def answer(self, verb: str, path: str, *, query: str, body: Json) -> tuple[int, Any]:
        """As KFP: names by a filter, pages of at most 100, the newest first where that is asked for."""
        if verb == "PATCH":
            (changed,) = [of for of in self.workflows if f"{PLACE}/{of['metadata']['name']}" == path]
            changed["metadata"] |= body["metadata"]
            return 200, changed
        if path == PLACE:
            return 200, {"items": self.workflows}
        if path.endswith(":disable"):
            self.recurring[path.rpartition("/")[2].removesuffix(":disable")]["status"] = "DISABLED"
            return 200, {}
        kind, _, identity = path.rstrip("/").partition("/v2beta1/")[2].partition("/")
        if kind == "healthz":
            return 200, {"multi_user": False}
        if kind == "recurringruns" and self.forbidden:
            return 403, {"message": "no right to list recurring runs"}
        every = self.recurring if kind == "recurringruns" else {run["run_id"]: run for run in self.runs}
        if identity:
            if identity not in every:
                return 404, {"message": "none"}
            return 200, self.end(identity) if verb == "DELETE" else every[identity]
        asked = {key: values[0] for key, values in parse_qs(query).items()}
        names = [one["stringValue"] for one in json.loads(asked.get("filter", "{}")).get("predicates", [])]
        found = [one for one in every.values() if not names or one["display_name"] in names]
        found = [one for one in found if one["experiment_id"] == asked.get("experiment_id", "e")]
        if asked.get("sort_by") == "created_at desc":
            found.reverse()
        first, most = int(asked.get("page_token", 0)), min(100, int(asked["page_size"]))
        rest = {"next_page_token": str(first + most)} if len(found) > first + most else {}
        held = "recurringRuns" if kind == "recurringruns" else "runs"
        return 200, {held: found[first : first + most]} | rest


@pytest.fixture
def schedules(monkeypatch: pytest.MonkeyPatch) -> Iterator[Schedules]:
    made = Schedules()
    with made.running():
        for room in (cancel, status):
            monkeypatch.setattr(room, "Connection", connected)
        yield made


def connected(access: Access) -> Connection:
    """A connection to KFP's API alone."""
    connection = Connection(access)
    connection.__dict__["api"] = client.ApiClient(client.Configuration(host=access.host))
    return connection


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
        "  run last (id-of-last): running",
        "  run one (id-of-one): succeeded after 2 min 5 s",
    ]


def test_of_many_runs_the_last_ones_are_shown(schedules: Schedules) -> None:
    schedules.runs += [started(f"run-{number}", by="c1") for number in range(8)]
    schedules.runs += [started(f"hand-{number}", by=None) for number in range(250)]
    assert [line.split()[1] for line in shown("nightly", schedules)[1:]] == [
        *(f"run-{number}" for number in range(7, 2, -1)),
        "earlier",
    ]
    assert shown("idle", schedules)[1:] == ["  none has been started yet"]


def test_a_run_of_that_name_comes_first_and_two_schedules_are_told_apart(schedules: Schedules) -> None:
    schedules.runs += [started("nightly", by=None)]
    assert find_run("nightly", connection=connected(access(schedules))).run_id == "id-of-nightly"
    assert shown("c1", schedules)[0].startswith("recurring run nightly (c1)")
    schedules.recurring["c3"] = schedules.recurring["c2"] | {"recurring_run_id": "c3"}
    with pytest.raises(ValueError, match=r"2 runs are called 'idle'; give an id: c2 \(2026.*\), c3 "):
        shown("idle", schedules)


def test_a_user_without_a_right_on_recurring_runs_sees_others(schedules: Schedules) -> None:
    schedules.forbidden = True
    for given in ("by-hand", "id-of-by-hand"):
        assert find_run(given, connection=connected(access(schedules))).display_name == "by-hand"


def test_it_ends_and_a_run_under_way_goes_on(
    schedules: Schedules, capsys: pytest.CaptureFixture[str]
) -> None:
    schedules.runs += [started("last", by="c1", state="RUNNING"), started("other", by="c2", state="RUNNING")]
    schedules.workflows = [workflow("last", "c1", "another"), workflow("other", "c2"), workflow("by-hand")]
    cancel.cancel_run("nightly", access=access(schedules))
    assert capsys.readouterr().out.splitlines() == [
        "recurring run nightly (c1): starts no more runs",
        "run last goes on; `precisionflow cancel last` stops it",
    ]
    assert list(schedules.recurring) == ["c2"]
    assert schedules.workflows == [workflow("last", "another"), workflow("other", "c2"), workflow("by-hand")]


def test_what_is_of_one_run_names_those_that_it_has_started(schedules: Schedules) -> None:
    schedules.runs += [started("one", by="c1")]
    connection = connected(access(schedules))
    with pytest.raises(
        ValueError, match=r"'nightly' is a recurring run; give one of its runs, the last ones are: one"
    ):
        find_run("nightly", connection=connection)
    with pytest.raises(ValueError, match="unknown run 'nowhere'; the last ones are: one, by-hand"):
        find_run("nowhere", connection=connection)
