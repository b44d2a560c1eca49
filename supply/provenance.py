"""Provenance of a pushed image: from which sources and with which arguments it was built, as SLSA states it.

One in-toto statement (https://in-toto.io/Statement/v1) with the predicate https://slsa.dev/provenance/v1 on stdout.
`containers/build` calls it where nothing is installed, so the standard library has to do.
"""

import argparse
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).parents[1]
BUILD_TYPE = "urn:precisionflow:containers-build:1"
"""What the parameters below mean: docs/supply_chain.md."""
REFERENCE = re.compile(r"(?P<name>[^@]+?)(:(?P<tag>[^@:/]+))?(@sha256:(?P<digest>[0-9a-f]{64}))?")
ARGUMENTS = ("BASE", "REQUIREMENTS", "INDEX", "OPTIONS")
"""Variables of `make images` that change what is built."""
Json = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=["core", "train"])
    parser.add_argument("reference", help="name of the pushed image, by digest")
    parser.add_argument(
        "--context", required=True, help="sha256 of the files and arguments that the builder saw"
    )
    parser.add_argument("--commit", default="", help="commit of the checkout; empty where files were changed")
    parser.add_argument("--builder", required=True, help="the builder and its version, as it states them")
    parser.add_argument("--started", required=True)
    parser.add_argument("--finished", required=True)
    print(json.dumps(statement(parser.parse_args(), dict(os.environ)), indent=2, sort_keys=True))


def statement(given: argparse.Namespace, variables: dict[str, str]) -> Json:
    """What was built, how, from what. ValueError where the image's name holds no digest."""
    image = parts(given.reference)
    if not image["digest"]:
        raise ValueError(f"{given.reference}: push the image first (PUSH=1): provenance goes by digest")
    arguments = {name: variables[name] for name in ARGUMENTS if variables.get(name)}
    if "INDEX" in arguments:
        arguments["INDEX"] = without_login(arguments["INDEX"])
    definition = {
        "buildType": BUILD_TYPE,
        "externalParameters": {"target": given.target, **arguments},
        "internalParameters": {"SOURCE_DATE_EPOCH": variables.get("SOURCE_DATE_EPOCH", "0")},
        "resolvedDependencies": materials(given, arguments),
    }
    details = {
        "builder": {
            "id": variables.get("BUILDER_ID") or "urn:precisionflow:make-images",
            "version": {"builder": given.builder},
        },
        "metadata": {"startedOn": given.started, "finishedOn": given.finished},
    }
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": image["name"], "digest": {"sha256": image["digest"]}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": definition, "runDetails": details},
    }


def materials(given: argparse.Namespace, arguments: Json) -> list[Json]:
    """Sources of an image: the checkout, the files that the builder saw, the base image, the locks of packages."""
    base = parts(arguments.get("BASE") or default_base())
    found: list[Json] = [{"name": "context", "digest": {"sha256": given.context}}]
    if given.commit:
        found.append({"name": "checkout", "digest": {"gitCommit": given.commit}})
    image: Json = {"name": "base", "uri": package_url(base)}
    found.append(image | ({"digest": {"sha256": base["digest"]}} if base["digest"] else {}))
    locks = ["containers/requirements-core.txt"]
    if given.target == "train":
        locks.append(arguments.get("REQUIREMENTS") or "containers/requirements-train.txt")
    for lock in locks:
        digest = hashlib.sha256((ROOT / lock).read_bytes()).hexdigest()
        found.append({"name": lock, "digest": {"sha256": digest}})
    return found


def default_base() -> str:
    """The base image that the Containerfile names."""
    text = (ROOT / "containers" / "Containerfile").read_text(encoding="utf-8")
    found = re.search(r"^ARG BASE=(\S+)$", text, re.MULTILINE)
    if not found:
        raise ValueError("containers/Containerfile: no line `ARG BASE=...`")
    return found[1]


def parts(reference: str) -> dict[str, str]:
    """Name, tag and digest of an image's reference; empty where it has none."""
    found = REFERENCE.fullmatch(reference)
    if not found:
        raise ValueError(f"{reference!r} is no reference of an image")
    return {key: value or "" for key, value in found.groupdict().items()}


def package_url(image: dict[str, str]) -> str:
    """Purl of an image, https://github.com/package-url/purl-spec, type docker."""
    host, slash, path = image["name"].partition("/")
    elsewhere = slash and (host == "localhost" or "." in host or ":" in host)
    name, query = (path, f"?repository_url={quote(host)}") if elsewhere else (image["name"], "")
    version = image["tag"] or (f"sha256:{image['digest']}" if image["digest"] else "")
    return f"pkg:docker/{name}" + (f"@{quote(version, safe='')}" if version else "") + query


def without_login(address: str) -> str:
    """An address without user and password."""
    split = urlsplit(address)
    return split._replace(netloc=split.netloc.rpartition("@")[2]).geturl()


if __name__ == "__main__":
    main()
