"""Makes what a fresh installation lacks: random passwords, and Katib's label on the namespace of runs.

A Secret that exists is left alone, so that a second run changes nothing; this account may not even read it.
"""

import secrets

from kubernetes import client, config

NAMESPACE, RUNS = "precisionflow", "kubeflow"
LABEL = {"katib.kubeflow.org/metrics-collector-injection": "enabled"}


def main() -> None:
    config.load_incluster_config()
    core = client.CoreV1Api()
    make(core, "mlflow-database", {"PGUSER": "mlflow", "PGPASSWORD": secrets.token_urlsafe(32)})
    keys = {"AWS_ACCESS_KEY_ID": secrets.token_hex(10), "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(32)}
    make(core, "mlflow-artifacts", keys)
    core.patch_namespace(RUNS, {"metadata": {"labels": LABEL}})
    print(f"namespace {RUNS}: labelled")


def make(core: client.CoreV1Api, name: str, values: dict[str, str], *, kind: str = "Opaque") -> None:
    """Create a Secret, unless there is one of that name."""
    labels = {"app.kubernetes.io/part-of": "precisionflow"}
    metadata = client.V1ObjectMeta(name=name, labels=labels)
    secret = client.V1Secret(metadata=metadata, string_data=values, type=kind)
    try:
        core.create_namespaced_secret(NAMESPACE, secret)
    except client.ApiException as error:
        if error.status != 409:
            raise
        print(f"secret {name}: there already")
    else:
        print(f"secret {name}: made")


if __name__ == "__main__":
    main()
