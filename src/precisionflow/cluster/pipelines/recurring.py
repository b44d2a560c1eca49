"""Recurring runs: their schedule and what they have started, in lines; their end."""

from itertools import islice
from typing import TYPE_CHECKING, TextIO

from precisionflow.cluster.access import objects
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import explained
from precisionflow.cluster.access.kinds import WORKFLOWS
from precisionflow.cluster.access.names import OF_SCHEDULE
from precisionflow.cluster.pipelines.runs import ENDED, SHOWN_RUNS, recurring_runs_of, state_of
from precisionflow.console import command

if TYPE_CHECKING:
    from kfp_server_api import V2beta1RecurringRun


def print_recurring(recurring: "V2beta1RecurringRun", *, connection: Connection, screen: TextIO) -> None:
    """Print when it runs, and the state of its last runs."""
    schedule = recurring.trigger.cron_schedule if recurring.trigger else None
    when = f" {schedule.cron!r}," if schedule else ""
    state = str(recurring.status or "enabled").lower()
    print(f"recurring run {_title(recurring)}:{when} {state}", file=screen)
    runs = list(islice(recurring_runs_of(recurring, connection=connection), SHOWN_RUNS + 1))
    for run in runs[:SHOWN_RUNS]:
        print(f"  run {run.display_name} ({run.run_id}): {state_of(run)}", file=screen)
    if len(runs) > SHOWN_RUNS:
        print("  and earlier ones", file=screen)
    if not runs:
        print("  none has been started yet", file=screen)


def end_recurring(recurring: "V2beta1RecurringRun", *, connection: Connection) -> None:
    """Let it start no run any more; those that it has started stay, and one that is under way goes on."""
    with explained(f"ending recurring run {recurring.display_name!r}"):
        connection.pipelines.disable_recurring_run(recurring.recurring_run_id)
        _keep_runs(str(recurring.recurring_run_id), connection=connection)
        connection.pipelines.delete_recurring_run(recurring.recurring_run_id)
    print(f"recurring run {_title(recurring)}: starts no more runs")
    for run in recurring_runs_of(recurring, connection=connection):
        if run.state not in ENDED:
            print(f"run {run.display_name} goes on; `{command('cancel', run.display_name)}` stops it")


def _keep_runs(recurring_id: str, *, connection: Connection) -> None:
    """Take the workflows of a recurring run from its ScheduledWorkflow, with which Kubernetes would delete them."""
    for workflow in objects.listed(connection, WORKFLOWS, labels={OF_SCHEDULE: "true"}):
        owners = workflow["metadata"].get("ownerReferences", [])
        others = [owner for owner in owners if owner["uid"] != recurring_id]
        if len(others) < len(owners):
            change = {"metadata": {"ownerReferences": others}}
            objects.patch(connection, WORKFLOWS, workflow["metadata"]["name"], change)


def _title(recurring: "V2beta1RecurringRun") -> str:
    return f"{recurring.display_name} ({recurring.recurring_run_id})"
