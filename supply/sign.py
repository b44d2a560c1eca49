"""Sign the images of build/images.json with cosign 3, and attest what they were built from and what they hold.

Variables: KEY, a file or the address of a key service; none: cosign asks the identity provider, or takes that of a CI
job, and signs without a key. OPTIONS, more words for cosign. Standard library only.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

BUILD = Path(__file__).parents[1] / "build"


def main() -> None:
    if shutil.which("cosign") is None:
        sys.exit(
            "make: no cosign here; https://docs.sigstore.dev/cosign/system_config/installation says how to get it"
        )
    given = ["--key", os.environ["KEY"]] if os.environ.get("KEY") else []
    words = ["--yes", *given, *shlex.split(os.environ.get("OPTIONS", ""))]
    images = json.loads(there("images.json", "make images"))
    for reference, predicate, bill in [checked(target, images[target]) for target in images]:
        cosign("sign", *words, reference)
        cosign("attest", *words, "--type=slsaprovenance1", "--predicate=-", reference, sent=predicate)
        cosign("attest", *words, "--type=cyclonedx", "--predicate=-", reference, sent=bill)


def checked(target: str, reference: str) -> tuple[str, str, str]:
    """A pushed image, what it was built from and what it holds; nothing is signed while one of them lacks."""
    if "@sha256:" not in reference:
        sys.exit(f"make: {reference} is not pushed, and a signature goes by digest; say make images PUSH=1")
    statement = json.loads(there(f"provenance/{target}.json", "make images PUSH=1"))
    if statement["subject"][0]["digest"]["sha256"] != reference.rpartition(":")[2]:
        sys.exit(f"make: build/provenance/{target}.json is of another image; say make images PUSH=1")
    return reference, json.dumps(statement["predicate"]), there(f"sbom/{target}.json", "make sbom")


def there(name: str, verb: str) -> str:
    """Content of a file below build/; where there is none the line that says how to make it."""
    file = BUILD / name
    if not file.exists():
        sys.exit(f"make: there is no build/{name}; say {verb}")
    return file.read_text(encoding="utf-8")


def cosign(*words: str, sent: str | None = None) -> None:
    print("make: cosign", *words, flush=True)
    if subprocess.run(["cosign", *words], input=sent, text=True, check=False).returncode:
        sys.exit(f"make: cosign {words[0]} failed")


if __name__ == "__main__":
    main()
