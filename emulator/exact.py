"""JSON read and written again with every number's text kept, for faults that change one thing in a payload and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable


class Number(str):
    """A number as it stands in the text."""

    __slots__ = ()


Value = None | bool | str | list["Value"] | dict[str, "Value"]
"""Numbers are `Number`s, texts other strings."""
ABSENT = object()


def read(text: bytes) -> Value:
    """A payload; raises ValueError."""
    value: Value = json.loads(text, parse_int=Number, parse_float=Number)
    return value


def write(value: Value) -> bytes:
    """The payload's text."""
    return _text(value).encode()


def _text(value: Value) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


def at(value: Value, path: str) -> object:
    """What stands at a path of keys and places; `ABSENT` where there is nothing."""
    here: object = value
    for key in path.split(".") if path else ():
        if isinstance(here, dict):
            here = here.get(key, ABSENT)
        elif isinstance(here, list) and key.lstrip("-").isdigit() and -len(here) <= int(key) < len(here):
            here = here[int(key)]
        else:
            return ABSENT
    return here


def change(value: Value, path: str, new: Callable[[Value], Value]) -> bool:
    """Changes what stands at a path; False where there is nothing."""
    above, _, last = path.rpartition(".")
    holder = at(value, above)
    if isinstance(holder, dict) and last in holder:
        holder[last] = new(holder[last])
        return True
    if isinstance(holder, list) and last.lstrip("-").isdigit() and -len(holder) <= int(last) < len(holder):
        holder[int(last)] = new(holder[int(last)])
        return True
    return False


def remove(value: Value, path: str) -> bool:
    """Takes a key out of its object; False where it is not there."""
    above, _, last = path.rpartition(".")
    holder = at(value, above)
    if not isinstance(holder, dict) or last not in holder:
        return False
    del holder[last]
    return True


def like(old: Value, text: str) -> Value:
    """A text as the same kind of value: a number stays a number."""
    return Number(text) if isinstance(old, Number) else text


def reordered(value: Value) -> Value:
    """The same with the keys of every object the other way round."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(inner) for inner in value] if isinstance(value, list) else value
