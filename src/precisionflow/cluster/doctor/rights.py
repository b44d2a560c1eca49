"""Rights of the user, and of the service account of runs, against those that they need."""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from precisionflow.cluster.access.artifact_store import ArtifactStore, launcher_settings, service_of
from precisionflow.cluster.access.connection import Connection
from precisionflow.cluster.access.errors import ClusterError
from precisionflow.cluster.access.kinds import (
    CLUSTER_RUNTIMES,
    EXPERIMENTS,
    NETWORK_POLICIES,
    RUNTIMES,
    TRAINJOBS,
    TRIALS,
    WORKFLOWS,
)
from precisionflow.cluster.access.names import KFP_NAMESPACE
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
    at_store: bool = False
    """Whether it is needed in the namespace of KFP's object store, which may be another than that of runs."""

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
OF_PIPELINES = "pipelines.kubeflow.org"
"""Group whose rights KFP itself asks for, where it tells its users apart."""
_READING = (
    Right(("get",), BY_PROXY),
    Right(("get", "list"), f"runs.{OF_PIPELINES}"),
    Right(("list",), f"jobs.{OF_PIPELINES}"),
    Right(("get",), f"pipelines.{OF_PIPELINES}"),
)
_PIPELINES = (
    Right(("get", "create", "delete"), BY_PROXY),
    Right(("get", "list", "create", "delete"), f"pipelines.{OF_PIPELINES}"),
    Right(("get", "list", "create", "delete"), f"experiments.{OF_PIPELINES}"),
    Right(("get", "list", "create"), f"runs.{OF_PIPELINES}"),
    Right(("list", "create"), f"jobs.{OF_PIPELINES}"),
)
_ENDING = (
    Right(("get", "create", "delete"), BY_PROXY),
    *_READING[1:],
    Right(("terminate",), f"runs.{OF_PIPELINES}"),
    Right(("disable", "delete"), f"jobs.{OF_PIPELINES}"),
)
_JOBS = (Right(("list", "delete"), TRAINJOBS.resource), Right(("list", "delete"), EXPERIMENTS.resource))
_STORE = (
    Right(("get",), "secrets"),
    Right(("get",), "configmaps"),
    Right(("get",), "services", at_store=True),
    Right(("get",), "endpoints", at_store=True),
    Right(("get", "create"), "pods/portforward", at_store=True),
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
    "submit": (*_PIPELINES, *_SHORT_POD),
    "submit --wait": (Right(("list",), WORKFLOWS.resource), *_WATCHING[:2]),
    "status": (*_READING, Right(("list",), WORKFLOWS.resource), _WATCHING[0]),
    "logs": (*_READING, *_WATCHING[:2], *_STORE),
    "fetch": (*_READING, *_STORE),
    "cancel": (*_ENDING, Right(("list", "patch"), WORKFLOWS.resource), *_JOBS),
    "search --cluster": _SEARCHING,
    "data put": (*_SHORT_POD, Right(("get", "create"), "pods/exec")),
    "gc": (*_READING, *_JOBS, Right(("list",), "pods"), *_SHORT_POD, *_STORE),
}
"""Command -> rights that its user needs."""
_OWN_POD = Right(("get",), "pods")
"""By its own pod a task finds its run and its workflow."""
ACCOUNT = {
    "training on several nodes": (
        Right(("create", "list", "delete"), TRAINJOBS.resource),
        Right(("create", "list", "patch", "delete"), RUNTIMES.resource),
        Right(("create", "patch", "delete"), NETWORK_POLICIES.resource),
        Right(("list",), CLUSTER_RUNTIMES.resource, everywhere=True),
        _OWN_POD,
        *_WATCHING,
    ),
    "searching on Katib": (*_SEARCHING, _OWN_POD),
    "ending a run, another try after a lost pod, none after a mistake": (
        Right(("list", "patch"), WORKFLOWS.resource),
        _OWN_POD,
        *_WATCHING[:2],
    ),
}
"""Work of a run -> rights that its service account needs."""

Review = Callable[[Json], bool]


def check_user(connection: Connection) -> Findings:
    """Rights of the user: one line for each command."""
    user, here, store = (
        str(whoami(connection)["username"]),
        connection.namespace,
        _store_namespace(connection),
    )
    apart = _tells_users_apart(connection)

    def allowed(attributes: Json) -> bool:
        return _allowed(connection, "SelfSubjectAccessReview", {"resourceAttributes": attributes})

    for command, whole in USER.items():
        rights = [
            right
            for right in whole
            if not (connection.access.host and right.resource == BY_PROXY)
            and (apart or not right.resource.endswith(OF_PIPELINES))
        ]
        places = dict.fromkeys((here, store))
        missing = {
            where: _missing([r for r in rights if (store if r.at_store else here) == where], allowed, where)
            for where in places
        }
        lacking = {where: lacks for where, lacks in missing.items() if lacks}
        what, role = f"your rights for {command}", "-".join(re.findall(r"\w+", command))
        if lacking:
            found = ", and ".join(f"{_shown(lacks)} in {where}" for where, lacks in lacking.items())
            mends = [_grant(connection, role, lacks, user, where=where) for where, lacks in lacking.items()]
            yield bad(what, f"you may not {found}", " && ".join(mends))
        else:
            yield ok(what, _shown(rights))


def _store_namespace(connection: Connection) -> str:
    """Where the service of KFP's object store is; where the user may not look, that of KFP, or of runs."""
    from kubernetes.client import ApiException

    try:
        service = service_of(ArtifactStore.of(launcher_settings(connection)), connection)
    except ApiException as error:
        if not forbidden(error):
            raise
        return KFP_NAMESPACE if _tells_users_apart(connection) else connection.namespace
    return service.namespace if service else connection.namespace


def _tells_users_apart(connection: Connection) -> bool:
    """Whether KFP asks for rights of its own; False where it does not answer, which another check tells."""
    try:
        return connection.pipelines_api.tells_users_apart
    except ClusterError:
        return False


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


def _grant(connection: Connection, name: str, rights: Sequence[Right], user: str, *, where: str) -> str:
    """Commands that give a user the rights in a namespace: one role for each set of verbs.

    Those for which KFP asks come with KFP's own role: kubectl makes none for kinds that the API does not serve.
    """
    resources: dict[tuple[str, ...], list[str]] = {}
    for right in rights:
        if not right.resource.endswith(OF_PIPELINES):
            resources.setdefault(right.verbs, []).append(right.resource)
    commands = []
    for number, (verbs, kinds) in enumerate(resources.items(), 1):
        role = f"precisionflow-{name}" + (f"-{number}" if number > 1 else "")
        commands += [
            f"create role {role} --verb={','.join(verbs)} --resource={','.join(kinds)}",
            f"create rolebinding {role} --role={role} --user={shlex.quote(user)}",
        ]
    if any(right.resource.endswith(OF_PIPELINES) for right in rights):
        binding = f"precisionflow-{name}-pipelines"
        commands.append(
            f"create rolebinding {binding} --clusterrole=kubeflow-pipelines-edit --user={shlex.quote(user)}"
        )
    return " && ".join(kubectl(connection, f"-n {where} {command}") for command in commands)
