"""What the store answers, as far as it can be relied upon: it may lack anything."""

from __future__ import annotations

from typing import Any, NoReturn

from jtc.storage.exceptions import StorageUnavailableException

__all__ = ["Answer", "answer_of"]


class Answer(dict[str, Any]):
    """A parsed answer, or a part of one, whose lacking fields are the store's failure."""

    def __missing__(self, name: str) -> NoReturn:
        raise StorageUnavailableException(
            f"The store's answer cannot be understood: it has no {name}"
        )


def answer_of(parsed: Any) -> Any:
    """Return what the SDK parsed, with an `Answer` for each mapping."""
    if isinstance(parsed, dict):
        return Answer((name, answer_of(value)) for name, value in parsed.items())
    return [answer_of(item) for item in parsed] if isinstance(parsed, list) else parsed
