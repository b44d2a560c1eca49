"""A CoNLL-U file with the tags that a model gives its words."""

from pathlib import Path

from precisionflow.config.tasks import Tagging
from precisionflow.console import note
from precisionflow.data.readers.conllu import with_tags
from precisionflow.data.tasks.tagging import TaggedFile
from precisionflow.serving.answers.tags import tags_of
from precisionflow.serving.model import ServedModel


def tagged_file(model: ServedModel, path: Path, *, recalibrated: str | None) -> str:
    """The file with the model's tag in the model's column, its probability and parts of the entropy in MISC.

    All else is as it stands.

    What was skipped and cut is told. ValueError for a file that is no CoNLL-U, or holds no sentence, and for a model of
    another task.
    """
    task = model.predictor.experiment_card.experiment.task
    if not isinstance(task, Tagging):
        raise ValueError(
            f"{path}: is CoNLL-U, which a model of task.kind tagging reads; this one predicts "
            f"{model.predictor.predicts}"
        )
    if not path.is_file():
        raise ValueError(f"{path}: does not exist; give a CoNLL-U file")
    fit, file = model.fit(recalibrated), TaggedFile.read(path, task)
    if not len(file):
        raise ValueError(f"{path}: holds no sentence; write one")
    for line in file.notes():
        note(line)
    tagged = tags_of(model, list(file), fit)
    return "".join(with_tags(path, task.column, ((word.tag, word[1:]) for word in tagged)))
