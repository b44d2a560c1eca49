"""The images that tasks run in: the one place that names them, and the file in which a build says where they are."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

CORE = "precisionflow-python-core:0.1.0"
"""Without torch: prepare, aggregate, report, the launchers, the MLflow server."""
TRAIN = "precisionflow-python-train:0.1.0"
"""With torch and DeepSpeed: train, evaluate."""
NAMES = {CORE: "core", TRAIN: "train"}
"""Image that a component names -> its name where a build says its reference."""
BUILT = Path("build/images.json")
"""What `make images` writes: {"core": reference, "train": reference}."""
_EXACT = re.compile(r"@sha256:[0-9a-f]{64}$|:[^:/@]+-[0-9a-f]{12}$")
"""End of a reference that says the image's content: its digest, or the tag that `make images` gives."""


def image_references(file: Path | None = None) -> dict[str, str]:
    """`core` and `train` -> reference, from the file that `make images` wrote.

    Without `file`: from build/images.json, or the names above where a build has not written it. ValueError for a file
    that is not there or says something else.
    """
    if file is None and not BUILT.exists():
        return {"core": CORE, "train": TRAIN}
    path = file or BUILT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: does not exist; `make images` writes build/images.json") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: is no readable JSON ({error}); say `make images` again") from None
    if (
        not isinstance(content, dict)
        or set(content) != {"core", "train"}
        or not all(isinstance(reference, str) and reference for reference in content.values())
    ):
        raise ValueError(
            f'{path}: should be {{"core": REFERENCE, "train": REFERENCE}}; say `make images` again'
        )
    return content


def refuse_inexact(references: Mapping[str, str]) -> None:
    """ValueError for an image whose name does not say its content: KFP's cache and a node know it by its name alone."""
    for name, reference in references.items():
        if not _EXACT.search(reference):
            raise ValueError(
                f"image {name} {reference!r}: its name does not say what it holds, so that KFP's cache could return "
                "results of other code; build with `make images`, which tags by content, or names by digest (PUSH=1)"
            )
