"""Rights of the user, and of the service account of runs, against those that they need."""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.kinds import (
    CLUSTER_RUNTIMES,
    EXPERIMENTS,
    NETWORK_POLICIES,
    RUNTIMES,
    TRAINJOBS,
    TRIALS,
    WORKFLOWS,
)
from precisionflow.cluster.access.rest import Json, forbidden, post
from precisionflow.cluster.doctor.commands import ACCOUNTS, account, install_pipelines, kubectl, provide
from precisionflow.cluster.doctor.finding import Findings, bad, note, ok
from precisionflow.cluster.doctor.platform import whoami

_REVIEWS = "/apis/authorization.k8s.io/v1"


@dataclass(frozen=True)
class Right:
    """Verbs on a kind of resource."""

    verbs: tuple[str, ...]
    resource: str
    """As kubectl names it: trainjobs.trainer.kubeflow.org, pods/log."""
    everywhere: bool = False
    """Whether the resource is in no namespace."""

    def attributes(self, verb: str, namespace: str) -> Json:
        """Attributes of an access review that asks for one of the verbs."""
        whole, _, part = self.resource.partition("/")
        name, _, group = whole.partition(".")
        place = {} if self.everywhere else {"namespace": namespace}
        return {"verb": verb, "group": group, "resource": name, "subresource": part, **place}


_WATCHING = (Right(("list",), "pods"), Right(("get",), "pods/log"), Right(("list",), "events"))
_SEARCHING = (
    Right(("create", "list", "delete"), EXPERIMENTS.resource),
    Right(("list",), TRIALS.resource),
    *_WATCHING,
)
BY_PROXY = "services/proxy"
"""What is not asked for where KFP has an address of its own."""
_PIPELINES = Right(("get", "create", "delete"), BY_PROXY)
_READING = Right(("get",), BY_PROXY)
_JOBS = (Right(("list", "delete"), TRAINJOBS.resource), Right(("list", "delete"), EXPERIMENTS.resource))
_STORE = (
    Right(("get",), "secrets"),
    Right(("get",), "configmaps"),
    Right(("get",), "services"),
    Right(("get",), "endpoints"),
    Right(("get", "create"), "pods/portforward"),
)
"""KFP's object store, and the login there."""
_SHORT_POD = (
    Right(("get",), "persistentvolumeclaims"),
    Right(("create", "get", "delete"), "pods"),
    Right(("get",), "pods/log"),
    Right(("list",), "events"),
)
"""A look into the workspace."""
USER = {
    "submit": (_PIPELINES, *_SHORT_POD),
    "submit --wait": (Right(("list",), WORKFLOWS.resource), *_WATCHING[:2]),
    "status": (_READING, Right(("list",), WORKFLOWS.resource), _WATCHING[0]),
    "logs": (_READING, *_WATCHING[:2]),
    "fetch": (_READING, *_STORE),
    "cancel": (_PIPELINES, Right(("list", "patch"), WORKFLOWS.resource), *_JOBS),
    "search --cluster": _SEARCHING,
    "data put": (*_SHORT_POD, Right(("get", "create"), "pods/exec")),
    "gc": (_READING, *_JOBS, Right(("list",), "pods"), *_SHORT_POD, *_STORE),
}
"""Command -> rights that its user needs."""
ACCOUNT = {
    "training on several nodes": (
        Right(("create", "list", "delete"), TRAINJOBS.resource),
        Right(("create", "list", "patch", "delete"), RUNTIMES.resource),
        Right(("create", "patch", "delete"), NETWORK_POLICIES.resource),
        Right(("list",), CLUSTER_RUNTIMES.resource, everywhere=True),
        Right(("get",), "pods"),
        *_WATCHING,
    ),
    "searching on Katib": _SEARCHING,
    "ending a run, and no try after a mistake": (Right(("list", "patch"), WORKFLOWS.resource),),
}
"""Work of a run -> rights that its service account needs."""

Review = Callable[[Json], bool]


def check_user(connection: Connection) -> Findings:
    """Rights of the user: one line for each command."""
    user = str(whoami(connection)["username"])

    def allowed(attributes: Json) -> bool:
        return _allowed(connection, "SelfSubjectAccessReview", {"resourceAttributes": attributes})

    for command, whole in USER.items():
        rights = [right for right in whole if not (connection.access.host and right.resource == BY_PROXY)]
        missing = _missing(rights, allowed, connection.namespace)
        what = f"your rights for {command}"
        if missing:
            mend = _grant(connection, "-".join(re.findall(r"\w+", command)), missing, user)
            yield bad(what, f"you may not {_shown(missing)} in {connection.namespace}", mend)
        else:
            yield ok(what, _shown(rights))


def check_account(connection: Connection) -> Findings:
    """Rights of the service account of runs: one line for each kind of work."""
    name = account(connection)
    if name is None:
        found = f"neither {' nor '.join(ACCOUNTS)} is in namespace {connection.namespace}"
        yield bad("service account", found, install_pipelines(connection))
        return
    allowed = _reviewer(connection, name)
    if allowed is None:
        yield note(f"rights of {name}", "not checked, you may not ask for other users' rights")
        return
    for work, rights in ACCOUNT.items():
        missing = _missing(rights, allowed, connection.namespace)
        what = f"rights of {name} for {work}"
        if missing:
            yield bad(what, f"may not {_shown(missing)}", provide(connection))
        else:
            yield ok(what, f"{sum(len(right.verbs) for right in rights)} of them")


def _reviewer(connection: Connection, name: str) -> Review | None:
    """Way to ask for a service account's rights: by review, else by impersonation; none where neither is allowed."""
    from kubernetes.client import ApiException

    user = f"system:serviceaccount:{connection.namespace}:{name}"
    group = f"system:serviceaccounts:{connection.namespace}"
    subject = {"user": user, "groups": ["system:serviceaccounts", group, "system:authenticated"]}

    def by_review(attributes: Json) -> bool:
        return _allowed(connection, "SubjectAccessReview", {**subject, "resourceAttributes": attributes})

    def by_impersonation(attributes: Json) -> bool:
        spec = {"resourceAttributes": attributes}
        return _allowed(connection, "SelfSubjectAccessReview", spec, **{"Impersonate-User": user})

    for way in (by_review, by_impersonation):
        try:
            way(ACCOUNT["training on several nodes"][0].attributes("get", connection.namespace))
        except ApiException as error:
            if not forbidden(error):
                raise
            continue
        return way
    return None


def _allowed(connection: Connection, kind: str, spec: Json, **headers: str) -> bool:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    answer = post(connection.api, f"{_REVIEWS}/{kind.lower()}s", body, **headers)
    return bool(answer["status"]["allowed"])


def _missing(rights: Sequence[Right], allowed: Review, namespace: str) -> list[Right]:
    """Rights that are lacking, each with the verbs that are refused."""
    refused = [
        Right(
            tuple(v for v in right.verbs if not allowed(right.attributes(v, namespace))),
            right.resource,
            right.everywhere,
        )
        for right in rights
    ]
    return [right for right in refused if right.verbs]


def _shown(rights: Sequence[Right]) -> str:
    verbs: dict[str, list[str]] = {}
    for right in rights:
        verbs.setdefault(right.resource, []).extend(right.verbs)
    return "; ".join(f"{', '.join(each)} {resource}" for resource, each in verbs.items())


def _grant(connection: Connection, name: str, rights: Sequence[Right], user: str) -> str:
    """Commands that give a user the rights in the namespace of runs: one role for each set of verbs."""
    resources: dict[tuple[str, ...], list[str]] = {}
    for right in rights:
        resources.setdefault(right.verbs, []).append(right.resource)
    commands = []
    for number, (verbs, kinds) in enumerate(resources.items(), 1):
        role = f"precisionflow-{name}" + (f"-{number}" if number > 1 else "")
        commands += [
            f"create role {role} --verb={','.join(verbs)} --resource={','.join(kinds)}",
            f"create rolebinding {role} --role={role} --user={shlex.quote(user)}",
        ]
    return " && ".join(kubectl(connection, f"-n {connection.namespace} {command}") for command in commands)
