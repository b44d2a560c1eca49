"""Checkpoints of an unfinished run: whole or absent, resumable on other numbers of ranks.

Two are kept at most: the newest, and the newest that a finite validation has followed or met.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from precisionflow.records.files import write_text
from precisionflow.results.locks import exclusive
from precisionflow.training.ranks import Ranks
from precisionflow.training.standing import Standing


class Checkpoints:
    """Checkpoint folder of one run; `key` identifies its work, and the checkpoints of other work are dropped."""

    def __init__(self, folder: Path, *, key: str, ranks: Ranks) -> None:
        self.folder = folder
        self.key = key
        self.ranks = ranks

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for one run and remove it when the block ends well; ValueError while another run holds it."""
        if not self.ranks.first:
            yield
            return
        try:
            with exclusive(self.folder):
                yield
                shutil.rmtree(self.folder)
        finally:
            with contextlib.suppress(OSError):
                self.folder.rmdir()

    def latest(self) -> Path | None:
        """Folder of the newest whole checkpoint of this work."""
        if not self.ranks.all(self._written_key() == self.key):
            self._drop()
            return None
        return max(self._whole().items(), default=(0, None))[1]

    def good(self, validated: int) -> tuple[int, Path] | None:
        """Step and folder of the newest whole checkpoint up to `validated`, the step of the last finite validation."""
        return max((found for found in self._whole().items() if found[0] <= validated), default=None)

    def save(self, standing: Standing, save_engine: Callable[[Path], None], *, validated: int) -> None:
        """Write a checkpoint, give it its name, drop all but this one and the `good` one."""
        standing.interval.share(self.ranks)
        final = self.folder / f"step-{standing.step}"
        partial = final.with_suffix(".partial")
        if self.ranks.first:
            shutil.rmtree(partial, ignore_errors=True)
            (partial / "engine").mkdir(parents=True)
            write_text(self.key, self.folder / "key")
        self.ranks.barrier()
        save_engine(partial / "engine")
        self.ranks.barrier()
        if self.ranks.first:
            standing.write(partial)
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
            good = self.good(validated)
            kept = {final, good[1] if good else final}
            for old in set(self.folder.glob("step-*")) - kept:
                shutil.rmtree(old)
        self.ranks.barrier()

    def keep_good(self, validated: int) -> tuple[int, Path] | None:
        """Drop all but the `good` one, which is given: the weights of a newer one may be those of a divergence."""
        self.ranks.barrier()
        good = self.good(validated)
        self.ranks.barrier()
        if self.ranks.first:
            for found in sorted(self._whole().items(), reverse=True):
                if found != good:
                    # a kill inside rmtree must leave no checkpoint that seems whole
                    shutil.rmtree(found[1].rename(found[1].with_suffix(".partial")))
        self.ranks.barrier()
        return good

    def _whole(self) -> dict[int, Path]:
        """Step -> folder of the whole checkpoints that lie there."""
        found = (path for path in self.folder.glob("step-*") if not path.suffix)
        return {int(path.name.removeprefix("step-")): path for path in found}

    def _drop(self) -> None:
        """Forget all checkpoints; the key goes first, so that a kill in between leaves none that counts."""
        self.ranks.barrier()
        if self.ranks.first:
            (self.folder / "key").unlink(missing_ok=True)
            for path in self.folder.glob("step-*"):
                shutil.rmtree(path)
        self.ranks.barrier()

    def _written_key(self) -> str:
        path = self.folder / "key"
        return path.read_text(encoding="utf-8") if path.exists() else ""
