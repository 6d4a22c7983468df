"""The tree of errors."""

from __future__ import annotations

from tapeline import errors
from tapeline.errors import Action, TapelineError


def test_every_error_says_what_to_do_next() -> None:
    """Whoever catches an error can act on it without knowing its class, and the page at the top draws them all."""
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, TapelineError)]
    assert {one.action for one in classes} == set(Action)
    assert all(one.__name__ in (errors.__doc__ or "") for one in classes)
