"""Loading: from a name, a file or text to a validated Experiment, with `--set` overlays merged first."""

import base64
import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from precisionflow.config import places
from precisionflow.config.base import Config, ConfigError, completed, keys_of, nearest, without_defaults
from precisionflow.config.experiment import Experiment
from precisionflow.config.explain import explain
from precisionflow.config.overlay import overlay
from precisionflow.config.tables import FileForm
from precisionflow.config.yaml12 import read_yaml, write_yaml


def shipped() -> dict[str, str]:
    """The experiments inside the package: name -> YAML text."""
    folder = resources.files("precisionflow.experiments")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {f.name.removesuffix(".yaml"): f.read_text(encoding="utf-8") for f in files}


def load(name: str, settings: Iterable[str] = ()) -> Experiment:
    """The shipped experiment or the file `name`, with `settings` such as "training.steps=10" merged in.

    A relative path of a raw file is looked for beside the file `name`, that of a setting in the current folder.
    """
    here = places.changed_settings(parse_settings(settings), places.beside(Path.cwd()))
    return resolve(overlay(tree(name), here))


WORD = "base64:"
"""Beginning of a whole experiment as one word."""


def as_word(experiment: Experiment) -> str:
    """The experiment as a word that no shell changes, and that `load` takes for a name."""
    text = json.dumps(without_defaults(experiment), separators=(",", ":"))
    return WORD + base64.b64encode(text.encode()).decode()


def tree(name: str) -> dict[str, Any]:
    """The unvalidated mapping of an experiment: a file where the name is a path, that of a word, else a shipped one."""
    if name.startswith(WORD):
        return mapping(_of_a_word(name), WORD)
    if name.endswith((".yaml", ".yml", ".json")) or "/" in name:
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else _reason(error)
            raise ConfigError(
                f"{name}: cannot be read ({reason}); give a YAML file or a name from `precisionflow list`"
            ) from None
        return places.changed(mapping(text, name), places.beside(Path(name).absolute().parent))
    known = shipped()
    if name not in known:
        raise ConfigError(
            f"unknown experiment {name!r}; allowed: {', '.join(known)}, or a YAML file{nearest(name, list(known))}"
        )
    return mapping(known[name], name)


def _of_a_word(word: str) -> str:
    try:
        return base64.b64decode(word.removeprefix(WORD), validate=True).decode()
    except ValueError:
        raise ConfigError(f"{word[:40]}...: is no text in base64; copy the whole word") from None


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)


def parse(text: str) -> Experiment:
    """The experiment in a YAML or JSON text."""
    return resolve(mapping(text, "experiment"))


def mapping(text: str, origin: str, *, of: type[Config] = Experiment) -> dict[str, Any]:
    """The mapping in a YAML or JSON text from `origin`; ConfigError with one line where it is none of a part's keys."""
    try:
        content = read_yaml(text)
    except ValueError as error:
        raise ConfigError(f"{origin}: not valid YAML: {error}") from None
    if isinstance(content, dict):
        return content
    keys = ", ".join(keys_of(of))
    found = "is empty" if content is None else f"is a {type(content).__name__}"
    raise ConfigError(f"{origin}: {found}; it should be a mapping with the keys {keys}")


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """["a.b=1"] -> {"a.b": 1}; values are read as YAML."""
    parsed: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key or not all(key.split(".")):
            raise ConfigError(
                f"--set {setting!r}: should be dotted.key=value, for instance training.steps=100"
            )
        try:
            parsed[key] = read_yaml(value)
        except ValueError:
            raise ConfigError(f"--set {setting!r}: the value is not valid YAML; quote it") from None
    return parsed


def form_of(settings: Iterable[str]) -> FileForm:
    """The form in settings such as delimiter=; or delimiter=\\t or skip_lines=1; ConfigError of one line otherwise."""
    content: dict[str, Any] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        marks = key in ("delimiter", "decimal", "thousands")
        content[key] = value.replace("\\t", "\t") if marks else read_yaml(value)
    try:
        return FileForm.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"--form {explain(error, FileForm)}") from None


def as_options(message: str) -> str:
    """A message on a file's form with the options that `form_of` reads, in place of what an experiment would state."""
    keys = "|".join(FileForm.model_fields)
    message = message.replace(" and say what becomes of it in task.source.missing", "")
    message = re.sub(r"task\.source\.encoding: ([\w-]+)", r"--form 'encoding=\1'", message)
    stated = re.sub(rf"(task\.source\.form: )?\{{((?:{keys}): [^}}]*)\}}", _as_option, message)
    return re.sub(r"task\.source\.form(\.(?=\w))?", lambda found: f"--form{' ' * bool(found[1])}", stated)


@contextlib.contextmanager
def remedies_as_options() -> Iterator[None]:
    """What is wrong with a file inside the block is told with the options of a command as the remedy."""
    try:
        yield
    except ValueError as error:
        raise ValueError(as_options(str(error))) from None


def _as_option(found: re.Match[str]) -> str:
    parts = re.split(rf", (?=(?:{'|'.join(FileForm.model_fields)}): )", found[2])
    pairs = (part.partition(": ") for part in parts)
    return " ".join(f"--form '{key}={value.strip(chr(34))}'" for key, _, value in pairs)


def tuned(experiment: Experiment, settings: Iterable[str]) -> Experiment:
    """The experiment with settings such as training.learning_rate=0.01 merged in."""
    return resolve(overlay(experiment.model_dump(mode="json"), parse_settings(settings)))


def resolve(content: Mapping[str, Any]) -> Experiment:
    """Validate once; ConfigError with one line otherwise."""
    try:
        return Experiment.model_validate(completed(content, Experiment))
    except ValidationError as error:
        raise ConfigError(explain(error, Experiment)) from None


def to_yaml(experiment: Experiment) -> str:
    """The resolved experiment as YAML: every default written out."""
    return write_yaml(experiment.model_dump(mode="json"))
