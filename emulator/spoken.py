"""Messages read back by the templates they were made from, and made from the conditions they must meet."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping

import msgspec

from tapeline.spec.routing import Match
from tapeline.spec.template import Json, decode, read, text_of

_NAME = re.compile(r"\$\{=?[^}]*\}")
_PATH = re.compile(r"\{([^}]*)\}")


def hear(template: str, message: Json, known: Mapping[str, str] | None = None) -> dict[str, str] | None:
    """The pieces of a message that has a template's form; None where it has not. `known` pieces must be as they are.

    A bare word fits a template that is that word. Echoes (`${=path}`) come back under `=path`.
    """
    form = _form(_given(template, known or {}))
    found: dict[str, str] = {}
    return found if _unify(form, message, found) else None


def parsed(text: bytes) -> Json:
    """A client's message: JSON, or the word itself."""
    try:
        return decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return text.decode("utf-8", "replace")


def _given(template: str, known: Mapping[str, str]) -> str:
    for name, value in known.items():
        template = template.replace(f"${{{name}}}", value)
    return template


@functools.lru_cache(maxsize=1024)
def _form(template: str) -> Json:
    """The template as JSON: pieces that stand for whole values become texts."""
    parts: list[str] = []
    place = 0
    for found in _NAME.finditer(template):
        before = template[place : found.start()]
        parts.append(before)
        quoted = "".join(parts).replace('\\"', "").count('"') % 2 == 1
        parts.append(found.group() if quoted else f'"{found.group()}"')
        place = found.end()
    parts.append(template[place:])
    return parsed("".join(parts).encode())


def _unify(form: Json, message: Json, found: dict[str, str]) -> bool:
    if isinstance(form, dict):
        return isinstance(message, dict) and all(
            key in message and _unify(value, message[key], found) for key, value in form.items()
        )
    if isinstance(form, list):
        return (
            isinstance(message, list)
            and len(form) == len(message)
            and all(_unify(one, other, found) for one, other in zip(form, message, strict=True))
        )
    if isinstance(form, str) and "${" in form:
        return _read(form, text_of(message), found)
    return text_of(form) == text_of(message)


def _read(form: str, text: str, found: dict[str, str]) -> bool:
    # Echoes are paths, which are no names of groups.
    echoes: dict[str, str] = {}

    def plain(piece: re.Match[str]) -> str:
        if not piece.group().startswith("${="):
            return piece.group()
        echoes[f"echo{len(echoes)}"] = piece.group()[2:-1]
        return f"${{echo{len(echoes) - 1}}}"

    pieces = read(_NAME.sub(plain, form), text)
    if pieces is None:
        return False
    found.update({echoes.get(name, name): value for name, value in pieces.items()})
    return True


def by_paths(template: str, text: str) -> dict[str, str] | None:
    """What must stand at the paths of `{path}` so that the template gives a text; None where it cannot."""
    paths: list[str] = []

    def plain(piece: re.Match[str]) -> str:
        paths.append(piece.group(1))
        return f"${{p{len(paths) - 1}}}"

    pieces = read(_PATH.sub(plain, template), text)
    return None if pieces is None else {paths[int(name[1:])]: value for name, value in pieces.items()}


def made(conditions: Iterable[Match], places: Mapping[str, Json] | None = None) -> bytes:
    """The smallest payload that meets conditions, with values at further places; a bare word where they ask for one."""
    whole: list[Json] = [None]
    for condition in conditions:
        if condition.path == "" and condition.equals:
            return condition.equals[0].encode()
        if condition.absent:
            continue
        word = (*condition.equals, *(glob.replace("*", "1").replace("?", "1") for glob in condition.like), "1")[0]
        put(whole, condition.path, value(word))
    for path, content in (places or {}).items():
        put(whole, path, content)
    return msgspec.json.encode({} if whole[0] is None else whole[0])


def value(text: str) -> Json:
    """A JSON value by its text."""
    try:
        return decode(text)
    except msgspec.DecodeError:
        return text


def put(whole: list[Json], path: str, content: Json) -> None:
    """Puts a value at a path of keys and array places, in the one value of `whole`."""
    if not path:
        whole[0] = content
        return
    keys: list[str | int] = [int(key) if key.isdigit() else key for key in path.split(".")]
    holder: list[Json] | dict[str, Json] = whole
    at: str | int = 0
    for key in keys:
        inner = _item(holder, at)
        if not isinstance(inner, list if isinstance(key, int) else dict):
            inner = [] if isinstance(key, int) else {}
            _set(holder, at, inner)
        assert isinstance(inner, list | dict)
        holder, at = inner, key
    _set(holder, at, content)


def _item(holder: list[Json] | dict[str, Json], at: str | int) -> Json:
    if isinstance(holder, dict):
        return holder.get(str(at))
    return holder[at] if isinstance(at, int) and at < len(holder) else None


def _set(holder: list[Json] | dict[str, Json], at: str | int, content: Json) -> None:
    if isinstance(holder, dict):
        holder[str(at)] = content
    elif isinstance(at, int):
        holder.extend([None] * (at + 1 - len(holder)))
        holder[at] = content
