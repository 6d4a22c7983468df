"""Templates of the session language: `${name}` filled from pieces, patterns read back, `{path}` filled from a frame."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

import msgspec

from tapeline.spec.routing import Match

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""A decoded payload."""

_PIECE = re.compile(r"\$\{([^}:]+)(?::(upper|lower))?\}")
_PATH = re.compile(r"\{([^}]*)\}")
_ABSENT = object()
_LONGEST_NUMBER = 18
_FOREIGN = ("key", "cursor")


class TemplateError(ValueError):
    """A template names a piece that is not there."""


def render(template: str, pieces: Mapping[str, str]) -> str:
    """Fills `${name}`, `${name:upper}` and `${name:lower}`; a piece of our own may itself be a template, one of the venue's may not."""

    def fill(found: re.Match[str]) -> str:
        name, case = found.group(1), found.group(2)
        if name not in pieces:
            raise TemplateError(f"no piece {name!r} for template {template!r}")
        text = pieces[name]
        if "${" in text and name not in _FOREIGN and not name.startswith("="):
            text = render(text, {key: value for key, value in pieces.items() if key != name})
        return text.upper() if case == "upper" else text.lower() if case == "lower" else text

    return _PIECE.sub(fill, template)


def names(template: str) -> set[str]:
    """The pieces a template asks for."""
    return {found.group(1) for found in _PIECE.finditer(template)}


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    text, place, seen = "", 0, set()
    for found in _PIECE.finditer(pattern):
        text += re.escape(pattern[place : found.start()])
        name = found.group(1)
        text += f"(?P={name})" if name in seen else f"(?P<{name}>.+?)"
        seen.add(name)
        place = found.end()
    return re.compile(text + re.escape(pattern[place:]), re.DOTALL)


def read(pattern: str, text: str) -> dict[str, str] | None:
    """The pieces of a text that fits a pattern as a whole, else None."""
    found = _compiled(pattern).fullmatch(text)
    return found.groupdict() if found else None


def decode(payload: bytes | str) -> Json:
    """A JSON payload; raises `msgspec.DecodeError`."""
    value: Json = msgspec.json.decode(payload)
    return value


def at(value: Json, path: str) -> object:
    """What stands at a path of keys and array places joined by dots; `ABSENT` where there is nothing."""
    here: object = value
    for key in path.split(".") if path else ():
        if key == "*" and isinstance(here, dict):
            here = next((one for one in here.values() if isinstance(one, dict | list)), _ABSENT)
        elif isinstance(here, dict):
            here = here.get(key, _ABSENT)
        elif isinstance(here, list) and key.lstrip("-").isdigit() and -len(here) <= int(key) < len(here):
            here = here[int(key)]
        else:
            return _ABSENT
    return here


ABSENT = _ABSENT
"""What `at` gives where a path leads nowhere."""


def text_of(value: object) -> str:
    """A value as it stands in JSON, a string without its quotes; empty for `ABSENT`."""
    if value is _ABSENT:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def number_of(value: object) -> int:
    """A request's number as it comes back, bare or as text; -1 for anything else."""
    text = text_of(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else -1


def fits(value: Json, conditions: Sequence[Match]) -> bool:
    """Whether a payload meets all conditions; null counts as there, with the text `null`."""
    return all(_meets(value, condition) for condition in conditions)


def _meets(value: Json, condition: Match) -> bool:
    found = at(value, condition.path)
    if found is _ABSENT:
        return condition.absent
    if not condition.equals and not condition.like:
        return not condition.absent
    text = text_of(found)
    fitting = text in condition.equals or any(_glob(glob).fullmatch(text) for glob in condition.like)
    return fitting is not condition.absent


@functools.lru_cache(maxsize=1024)
def _glob(glob: str) -> re.Pattern[str]:
    return re.compile(re.escape(glob).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def fill(
    template: str, value: Json, words: Mapping[str, str] | None = None, keys: Mapping[str, str] | None = None
) -> str | None:
    """Fills `{path}` from a payload (whole values replaced by `words`); None where one is not there or null.

    `{@path}` alone is what `keys` holds for the value at the path.
    """
    if template.startswith("{@"):
        return (keys or {}).get(text_of(at(value, template[2:-1])))
    missing = False

    def one(found: re.Match[str]) -> str:
        nonlocal missing
        here = at(value, found.group(1))
        if here is _ABSENT or here is None:
            missing = True
            return ""
        text = text_of(here)
        return words.get(text, text) if words else text

    text = _PATH.sub(one, template)
    return None if missing else text
