"""Faults of content: what a frame says is changed where the venue's meaning half says that it stands."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from emulator import exact
from emulator.exact import Number, Value
from emulator.faults import Frames, Hands, frame_fault, replaced
from emulator.reel import Frame
from emulator.shapes import Part, id_paths, rows, time_of
from tapeline.spec.meaning import Book, BookLevels, LevelList, Levels, LinkRule, SnapshotFrom, TimeUnit, Trade

_BELOW = 400_000_000
"""How far a reset takes ids down."""
BIG = 1 << 53
Edit = Callable[[Value, list[Part]], bool]
"""Changes a payload by what it tells; False where there is nothing to change."""


def _read(frames: Frames, place: int, hands: Hands) -> tuple[Value, list[Part]] | None:
    text = hands.packing.unpack(frames[place].payload)
    try:
        value = exact.read(text)
    except ValueError:
        return None
    return value, hands.shapes.parts(hands.name(frames[place].channel), value)


def _write(frames: Frames, place: int, hands: Hands, value: Value) -> Frames:
    return replaced(frames, place, hands.packing.pack(exact.write(value)))


def _edit(name: str, doc: str) -> Callable[[Edit], Edit]:
    """Registers an edit of one payload as a fault of frames."""

    def register(edit: Edit) -> Edit:
        def act(frames: Frames, place: int, hands: Hands) -> Frames | None:
            found = _read(frames, place, hands)
            if found is None or not edit(*found):
                return None
            return _write(frames, place, hands, found[0])

        act.__doc__ = doc
        frame_fault(name)(act)
        return edit

    return register


def shifted(value: Value, parts: list[Part], by: int) -> None:
    """Adds to all ids of a payload; one below 0 stands for none."""

    def add(old: Value) -> Value:
        text = str(old)
        return exact.like(old, str(int(text) + by)) if text.isdigit() else old

    for path in dict.fromkeys(path for part in parts for path in id_paths(part)):
        exact.change(value, path, add)


# checksums


def _checksum(value: Value, parts: list[Part], new: Callable[[Value], Value]) -> bool:
    paths = [
        part.path(part.emit.checksum) for part in parts if isinstance(part.emit, BookLevels) and part.emit.checksum
    ]
    return sum(exact.change(value, path, new) for path in paths) > 0


@_edit("checksum", "The checksum is another.")
def _wrong(value: Value, parts: list[Part]) -> bool:
    return _checksum(value, parts, lambda old: exact.like(old, str(int(str(old)) ^ 1)))


@_edit("checksum_zero", "The checksum is 0.")
def _zero(value: Value, parts: list[Part]) -> bool:
    return _checksum(value, parts, lambda old: exact.like(old, "0"))


@_edit("checksum_absent", "The checksum is not there.")
def _absent(value: Value, parts: list[Part]) -> bool:
    paths = [
        part.path(part.emit.checksum) for part in parts if isinstance(part.emit, BookLevels) and part.emit.checksum
    ]
    return sum(exact.remove(value, path) for path in paths) > 0


# levels


def _first_delta(value: Value, parts: list[Part]) -> tuple[LevelList, list[Value]] | None:
    for part in parts:
        if isinstance(part.emit, BookLevels) and not part.emit.snapshot:
            for levels, found in rows(part, part.emit, value):
                return levels, found
    return None


def _field(levels: LevelList, what: str) -> str | int:
    """Where a row holds its price or size."""
    if levels.coding is Levels.OBJECT:
        return levels.keys[0 if what == "price" else 1]
    first = {Levels.ACTION: 1, Levels.SIDED: 1}.get(levels.coding, 0)
    if levels.coding is Levels.SIGNED:
        return 0 if what == "price" else 2
    return first if what == "price" else first + 1


def _copy(levels: LevelList, row: Value, price: str | None = None, size: str | None = None) -> Value:
    """A row with another price or size."""
    made: Value = dict(row) if isinstance(row, dict) else list(row) if isinstance(row, list) else row
    if isinstance(made, str) and levels.coding is Levels.TEXT:
        pieces = made.split(",")
        return ",".join([price or pieces[0], pieces[1], size or pieces[2]])
    for what, text in (("price", price), ("size", size)):
        if text is not None:
            exact.change(made, str(_field(levels, what)), lambda old, text=text: exact.like(old, text))  # type: ignore[misc]
    if levels.coding is Levels.ACTION and size is not None and isinstance(made, list):
        made[0] = "delete" if Decimal(size) == 0 else "change"
    return made


def _text(levels: LevelList, row: Value, what: str) -> str:
    if levels.coding is Levels.TEXT:
        return str(row).split(",")[0 if what == "price" else 2]
    return str(exact.at(row, str(_field(levels, what))))


@_edit("repeated_price", "A level stands twice in one delta, first with another size.")
def _repeated(value: Value, parts: list[Part]) -> bool:
    found = _first_delta(value, parts)
    if found is None or found[0].coding is Levels.SIGNED:
        return False
    levels, own = found
    if levels.coding is Levels.ACTION and isinstance(own[0], list) and own[0][0] != "change":
        return False
    size = _text(levels, own[0], "size")
    own.insert(0, _copy(levels, own[0], size=str(Decimal(size) + 1)))
    return True


@_edit("zero_price", "A row of price 0 stands among a delta's levels.")
def _zero_price(value: Value, parts: list[Part]) -> bool:
    found = _first_delta(value, parts)
    if found is None or not found[0].skip_zero_price:
        return False
    found[1].insert(0, _copy(found[0], found[1][0], price="0"))
    return True


@_edit("level_dropped", "A delta lacks one of its levels.")
def _dropped(value: Value, parts: list[Part]) -> bool:
    found = _first_delta(value, parts)
    if found is None:
        return False
    found[1].pop(0)
    return True


# numbers, names, times


@_edit("number_text", "Sizes that were texts are numbers, and the other way round.")
def _number_text(value: Value, parts: list[Part]) -> bool:
    def other(old: Value) -> Value:
        return str(old) if isinstance(old, Number) else Number(str(old))

    found = _first_delta(value, parts)
    if found is not None and found[0].coding is not Levels.TEXT:
        for row in found[1]:
            exact.change(row, str(_field(found[0], "size")), other)
        return True
    trades = [(part, part.emit) for part in parts if isinstance(part.emit, Trade)]
    return sum(exact.change(value, part.path(trade.size), other) for part, trade in trades) > 0


@frame_fault("key_order")
def _key_order(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """The keys of every object stand the other way round."""
    found = _read(frames, place, hands)
    if found is None or not isinstance(found[0], dict):
        return None
    return _write(frames, place, hands, exact.reordered(found[0]))


def _times(value: Value, parts: list[Part], unit: bool) -> bool:
    """Sets the times of a unit (`unit`: ISO) to the beginning of time."""
    done = False
    for part in parts:
        time = time_of(part)
        if time is not None and (time.unit is TimeUnit.ISO) is unit:
            text = "0001-01-01T00:00:00.000000Z" if unit else "0"
            done |= exact.change(value, time.path, lambda old, text=text: exact.like(old, text))  # type: ignore[misc]
    return done


@_edit("zero_time", "The time is 0.")
def _zero_time(value: Value, parts: list[Part]) -> bool:
    return _times(value, parts, unit=False)


@_edit("year_one", "The time is the beginning of the year 1.")
def _year_one(value: Value, parts: list[Part]) -> bool:
    return _times(value, parts, unit=True)


@_edit("same_trade_id", "A trade has the id of the one before it.")
def _same_id(value: Value, parts: list[Part]) -> bool:
    trades = [part for part in parts if isinstance(part.emit, Trade) and part.emit.link is LinkRule.NEXT]
    if len(trades) != 1:
        return False
    shifted(value, trades, -1)
    return True


@frame_fault("big_ids")
def _big(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """From this trade on all ids of the channel are larger by 2^53."""
    found = _read(frames, place, hands)
    if found is None or not any(isinstance(part.emit, Trade) and part.emit.id for part in found[1]):
        return None
    shifted(*found, BIG)
    return _go_on(_write(frames, place, hands, found[0]), place, hands, BIG)


# sequences


def _go_on(frames: Frames, place: int, hands: Hands, by: int) -> Frames:
    """All that follows on the channel is shifted too."""
    channel = frames[place].channel
    hands.shift(channel, by)
    return [*frames[: place + 1], *(hands.shifted(f, by) if f.channel == channel else f for f in frames[place + 1 :])]


def _told(frames: Frames, place: int, hands: Hands) -> tuple[Value, Part, BookLevels, Book] | None:
    """A delta of a book that can be followed by another one."""
    found = _read(frames, place, hands)
    if found is None:
        return None
    value, parts = found
    for part in parts:
        emit = part.emit
        if isinstance(emit, BookLevels) and not emit.snapshot and len(parts) == 1:
            book = hands.shapes.book(emit)
            if book is not None and any(rows(part, emit, value)):
                return value, part, emit, book
    return None


def _follow(value: Value, part: Part, emit: BookLevels, by: int) -> None:
    """Makes a delta the one after itself, with its id higher by `by`."""
    if emit.ids is None:
        return
    last = exact.at(value, part.path(emit.ids.last))
    assert isinstance(last, str)
    text = str(int(last) + by)
    exact.change(value, part.path(emit.ids.last), lambda old: exact.like(old, text))
    for path, own in ((emit.ids.first, text), (emit.ids.previous, str(last))):
        if path is not None:
            exact.change(value, part.path(path), lambda old, own=own: exact.like(old, own))  # type: ignore[misc]


def _emptied(value: Value, part: Part, emit: BookLevels) -> None:
    for _, own in list(rows(part, emit, value)):
        own.clear()


def _empty(frames: Frames, place: int, hands: Hands, by: int) -> Frames | None:
    told = _told(frames, place, hands)
    if told is None:
        return None
    value, part, emit, book = told
    if (by < 1 and not book.no_change) or (by < 1 and emit.ids is None):
        return None
    _emptied(value, part, emit)
    _follow(value, part, emit, by)
    made = Frame(frames[place].channel, hands.packing.pack(exact.write(value)), frames[place].opcode)
    frames = [*frames[: place + 1], made, *frames[place + 1 :]]
    return _go_on(frames, place + 1, hands, by) if by and emit.ids is not None else frames


@frame_fault("empty_delta")
def _empty_delta(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """After a delta comes one without levels whose id goes on."""
    return _empty(frames, place, hands, 1)


@frame_fault("no_change")
def _no_change(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """After a delta comes one without levels that has its own predecessor's id, where the venue does so."""
    return _empty(frames, place, hands, 0)


@frame_fault("sequence_reset")
def _reset(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """After a delta ids go on far below, linked, where the venue does so."""
    return _empty(frames, place, hands, -_BELOW)


@frame_fault("crossed")
def _crossed(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """A bid above all asks comes and goes; not where a checksum or a depth would have to tell of it."""
    told = _told(frames, place, hands)
    if told is None or told[3].checksum is not None or told[3].depth_from:
        return None
    value, part, emit, _ = told
    levels, own = next(rows(part, emit, value))
    if levels.path != emit.bids.path or levels.coding in (Levels.SIGNED, Levels.SIDED, Levels.TEXT):
        return None
    row = own[0]
    price = str(Decimal(_text(levels, row, "price")) * 2)
    frames = list(frames)
    for number, size in ((1, "1"), (2, "0")):
        _emptied(value, part, emit)
        made = _copy(levels, row, price, size)
        if levels.coding is Levels.ACTION and isinstance(made, list) and number == 1:
            made[0] = "new"
        own.append(made)
        _follow(value, part, emit, 1)
        new = Frame(frames[place].channel, hands.packing.pack(exact.write(value)), frames[place].opcode)
        frames.insert(place + number, new)
    return _go_on(frames, place + 2, hands, 2) if emit.ids is not None else frames


def _snapshot(frames: Frames, place: int, hands: Hands, restart: bool) -> Frames | None:
    told = _told(frames, place, hands)
    channel = frames[place].channel
    opening = hands.opening(channel) if told is not None else []
    if told is None or told[3].snapshot is not SnapshotFrom.STREAM or len(opening) != 1:
        return None
    # It is of the present: after all that is about to be sent of the channel.
    last = max(n for n, frame in enumerate(frames) if frame.channel == channel)
    payload, by = opening[0], 0
    if restart:
        value = exact.read(payload)
        parts = hands.shapes.parts(hands.name(channel), value)
        ids = [path for part in parts for path in id_paths(part)[:1]]
        if not ids:
            return None
        by = 1 - int(str(exact.at(value, ids[0])))
        shifted(value, parts, by)
        payload = exact.write(value)
    made = Frame(channel, hands.packing.pack(payload), frames[place].opcode)
    frames = [*frames[: last + 1], made, *frames[last + 1 :]]
    return _go_on(frames, last + 1, hands, by) if by else frames


@frame_fault("unsolicited_snapshot")
def _unsolicited(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """The book's snapshot comes again within the stream."""
    return _snapshot(frames, place, hands, restart=False)


@frame_fault("restart")
def _restart(frames: Frames, place: int, hands: Hands) -> Frames | None:
    """The venue's engine starts anew: a snapshot, and ids from 1 on."""
    return _snapshot(frames, place, hands, restart=True)
