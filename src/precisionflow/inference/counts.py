"""Whole numbers that functions of this room are given."""

from operator import index


def require_count(name: str, given: object, *, least: int = 1) -> None:
    """ValueError for what is no whole number, such as 2.0, and for one below `least`."""
    if not is_count(given, least=least):
        raise ValueError(f"{name}: given {given!r}; give a whole number, {least} or more")


def is_count(given: object, *, least: int = 1) -> bool:
    """Whether it is a whole number of Python, numpy or torch that is not below `least`; True and False are none."""
    try:
        return not isinstance(given, bool) and index(given) >= least  # type: ignore[arg-type]
    except (TypeError, RuntimeError):
        return False
