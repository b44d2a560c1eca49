"""Size of the container images and seconds of a build that has nothing to do, with the builder that is there.

Takes the variables of `make images` from the environment (docs/images.md). Sizes are what the builder lists: unpacked,
base included, MB of 10^6 bytes.
"""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from measured import Measured, arguments, present

ROOT = Path(__file__).parents[1]
BYTES = {"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9}
BARS = {"core": 900.0, "train": None}
"""image -> bar of its size in MB."""


def build(*, options: str = "") -> dict[str, str]:
    """Run `containers/build`; image -> reference."""
    given = os.environ.get("OPTIONS", "")
    environment = os.environ | {"OPTIONS": f"{given} {options}"}
    subprocess.run(
        ["sh", ROOT / "containers" / "build"], check=True, env=environment, stdout=subprocess.DEVNULL
    )
    references = json.loads((ROOT / "build" / "images.json").read_text(encoding="utf-8"))
    return {image: references[image] for image in os.environ.get("TARGETS", "core train").split()}


def listed(builder: str, reference: str, column: str) -> str:
    """A column of the builder's list of images."""
    words = [builder, "images", "--format", f"{{{{.{column}}}}}", reference]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def megabytes(text: str) -> float:
    """`1.02 GB` or `870MB` as MB."""
    number, unit = re.fullmatch(r"([0-9.]+) ?([kKMG]B)", text).groups()  # type: ignore[union-attr]
    return float(number) * BYTES[unit] / 1e6


def main() -> None:
    """Build, build again, list; with `--twice` also build from nothing and compare the images' ids."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--twice", action="store_true", help="build from nothing too: the ids must be the same"
    )
    words = parser.parse_args()
    found = [name for name in ("docker", "podman", "buildah") if shutil.which(name)]
    builder = os.environ.get("BUILDER") or next(iter(found), None)
    if builder is None:
        print("no docker, podman or buildah here: nothing measured")
        return
    os.environ["BUILDER"] = builder
    build()
    start = time.perf_counter()
    references = build()
    rows = [Measured("build without a change", time.perf_counter() - start, "s", 10.0)]
    ids = {image: listed(builder, reference, "ID") for image, reference in references.items()}
    for image, reference in references.items():
        rows.append(
            Measured(f"size of {image}", megabytes(listed(builder, reference, "Size")), "MB", BARS[image])
        )
    if words.twice:
        again = {image: listed(builder, name, "ID") for image, name in build(options="--no-cache").items()}
        differing = sum(again[image] != ids[image] for image in ids)
        rows.append(Measured("images that a build from nothing changes", differing, "", 0.0))
    present(rows, words.json)


if __name__ == "__main__":
    main()
