"""Turns spec dataclasses into the JSON that the kernel compiles."""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Any

import msgspec


def encode(spec: object) -> bytes:
    """JSON of a frozen spec: every dataclass an object with its class name under `is`, every enum its value."""
    return msgspec.json.encode(_plain(spec))


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"is": type(value).__name__, **fields}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
