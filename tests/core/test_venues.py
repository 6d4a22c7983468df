"""The registry of venues is the two folders."""

from __future__ import annotations

import pytest

from tapeline import venues
from tapeline.errors import UnknownVenueError


def test_an_unknown_venue_is_refused_with_the_known_ones() -> None:
    """The error names what there is."""
    with pytest.raises(UnknownVenueError) as caught:
        venues.load("nowhere")
    assert caught.value.known == venues.names()
    assert all(name in str(caught.value) for name in venues.names())


def test_every_venue_has_both_halves() -> None:
    """Each name in either folder loads, with its provider and halves of the right kind."""
    for name in venues.names():
        venue = venues.load(name)
        assert (venue.name, venue.provider) == (name, name.upper())
        # What is only polled has no frames that would have to be told apart.
        assert venue.session.routing.routes or all(family.poll for family in venue.session.families)
        assert venue.meaning.mappings
