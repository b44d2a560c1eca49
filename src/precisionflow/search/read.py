"""A study from a file or a text, after every check."""

from pathlib import Path

from precisionflow.config.base import ConfigError
from precisionflow.config.load import mapping
from precisionflow.search.checks.study import check_study
from precisionflow.search.study import Study, parse_study


def read_study(file: Path) -> Study:
    """The study in a file; ConfigError with one line where it cannot be read or used."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{file}: does not exist; the shipped studies are in katib/") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file}: cannot be read ({error}); give a YAML file such as katib/*.yaml"
        ) from None
    return study_of(text, origin=str(file))


def study_of(text: str, *, origin: str = "study") -> Study:
    """The study in a YAML or JSON text from `origin`; ConfigError with one line where it cannot be used."""
    content = mapping(text, origin, of=Study)
    try:
        study = parse_study(content)
        check_study(study)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    return study
