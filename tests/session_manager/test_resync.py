"""A fresh book: by request or by subscribing anew, one at a time, calmer when asked for again and again."""

from __future__ import annotations

from tests.session_manager.desk import Desk, Fetch

DEPTH = "btcusdt@depth@100ms"
BOOK = "book.BTC-PERPETUAL.raw"


def _deribit() -> Desk:
    desk = Desk("deribit", [BOOK, "quote.A"])
    desk.open()
    desk.frame('{"jsonrpc":"2.0","id":1,"result":"ok"}')
    desk.frame(f'{{"jsonrpc":"2.0","id":2,"result":["{BOOK}","quote.A"]}}')
    desk.clear()
    return desk


def test_the_first_snapshot_is_asked_for_when_deltas_flow() -> None:
    """Not before: a snapshot older than the first delta would be of no use."""
    desk = Desk("binance_spot", [DEPTH])
    desk.open()
    desk.frame('{"result":null,"id":1}')
    assert not desk.of(Fetch)
    desk.seen(DEPTH)
    assert [fetch.url for fetch in desk.of(Fetch)] == ["https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=5000"]
    desk.answer(desk.of(Fetch)[0].key, b'{"lastUpdateId":1}')
    assert desk.payloads(DEPTH) == [b'{"lastUpdateId":1}']


def test_a_quiet_book_gets_its_snapshot_too() -> None:
    """A second after the grant it is asked for without deltas."""
    desk = Desk("binance_spot", [DEPTH])
    desk.open()
    desk.frame('{"result":null,"id":1}')
    desk.wait(1.1)
    assert len(desk.of(Fetch)) == 1


def test_a_resync_by_request_is_one_in_flight() -> None:
    """A second wish while the first is under way is declined; afterwards it is not."""
    desk = Desk("binance_spot", [DEPTH])
    desk.open()
    desk.seen(DEPTH)
    assert not desk.resync(DEPTH)
    desk.answer(desk.of(Fetch)[0].key)
    assert desk.resync(DEPTH)
    assert not desk.resync(DEPTH)
    assert len(desk.of(Fetch)) == 2
    desk.answer(desk.of(Fetch)[1].key, b"[1]")
    assert desk.payloads(DEPTH)[-1] == b"[1]"
    assert desk.resync(DEPTH)


def test_repeated_resyncs_grow_calm() -> None:
    """A book that breaks at once again is not fetched in a circle."""
    desk = Desk("binance_spot", [DEPTH])
    desk.open()
    desk.seen(DEPTH)
    desk.answer(desk.of(Fetch)[0].key)
    times = []
    for _ in range(5):
        began, count = desk.now, len(desk.of(Fetch))
        assert desk.resync(DEPTH)
        while len(desk.of(Fetch)) == count:
            desk.wait(0.01)
        times.append(desk.now - began)
        desk.answer(desk.of(Fetch)[-1].key)
    assert times[0] < 0.1
    assert times[4] > times[2] > times[1] > 0.2


def test_a_failed_snapshot_is_tried_again() -> None:
    """The resync stays under way until it has an answer."""
    desk = Desk("binance_spot", [DEPTH])
    desk.open()
    desk.seen(DEPTH)
    desk.answer(desk.of(Fetch)[0].key, status=503)
    assert not desk.resync(DEPTH)
    desk.wait(1.1)
    assert len(desk.of(Fetch)) == 2


def test_a_lost_connection_abandons_its_snapshots() -> None:
    """A snapshot of the old stream does not join the new one; the new subscription asks for its own."""
    desk = Desk("binance_spot", [DEPTH])
    desk.open()
    desk.seen(DEPTH)
    desk.close(0)
    desk.answer(desk.of(Fetch)[0].key, b"[2]")
    assert not desk.payloads(DEPTH)
    desk.wait(1.0)
    desk.connect(1)
    desk.seen(DEPTH, connection=1)
    assert len(desk.of(Fetch)) == 2


def test_a_resync_by_subscribing_anew() -> None:
    """Unsubscribe, wait for the answer, subscribe; only this channel, one at a time."""
    desk = _deribit()
    assert desk.resync(BOOK)
    assert [(asked.operation.value, asked.channels) for asked in desk.commands()] == [("unsubscribe", (BOOK,))]
    assert not desk.resync(BOOK)
    desk.seen(BOOK)
    assert len(desk.commands()) == 1
    desk.frame(f'{{"jsonrpc":"2.0","id":3,"result":["{BOOK}"]}}')
    desk.wait(1.0)
    assert [(asked.operation.value, asked.channels) for asked in desk.commands()][1:] == [("subscribe", (BOOK,))]
    assert not desk.resync(BOOK)
    desk.frame(f'{{"jsonrpc":"2.0","id":4,"result":["{BOOK}"]}}')
    assert desk.resync(BOOK)


def test_two_books_are_renewed_independently() -> None:
    """Kraken: each symbol has its own answers."""
    desk = Desk("kraken", ["book.A/B", "book.C/D"])
    desk.open()
    desk.seen("book.A/B", "book.C/D")
    assert desk.resync("book.A/B")
    assert desk.resync("book.C/D")
    ack = '{"method":"%s","result":{"channel":"book","depth":10,"symbol":"%s"},"success":true}'
    assert desk.frame(ack % ("unsubscribe", "C/D"))
    assert [asked.channels for asked in desk.commands()[-1:]] == [("book.C/D",)]
    assert desk.frame(ack % ("subscribe", "C/D"))
    assert not desk.resync("book.A/B")
    assert desk.resync("book.C/D")


def test_channels_without_a_book_have_no_resync() -> None:
    """Nor have channels that are not subscribed."""
    desk = _deribit()
    assert not desk.resync("quote.A")
    assert not desk.resync("book.B.raw")


def test_a_resync_that_loses_its_connection_ends_with_it() -> None:
    """The new subscription brings the fresh book."""
    desk = _deribit()
    assert desk.resync(BOOK)
    desk.close(0)
    desk.wait(2.0)
    desk.connect(1)
    desk.frame('{"jsonrpc":"2.0","id":4,"result":"ok"}', connection=1)
    subscribed = desk.commands()[-1]
    assert subscribed.operation.value == "subscribe"
    desk.frame(f'{{"jsonrpc":"2.0","id":{subscribed.number},"result":["{BOOK}","quote.A"]}}', connection=1)
    assert desk.resync(BOOK)


def test_a_refused_unsubscription_still_subscribes() -> None:
    """What cannot be unsubscribed is not subscribed: the subscription follows."""
    desk = _deribit()
    desk.resync(BOOK)
    desk.frame('{"jsonrpc":"2.0","id":3,"error":{"code":11050,"message":"bad_request"}}')
    desk.wait(1.0)
    assert desk.commands()[-1].operation.value == "subscribe"


def test_a_book_that_nothing_proves_is_asked_for_again_and_again() -> None:
    """Bitstamp's diffs have no sequence: its snapshot's `every` counts from the answer, and ends with the subscription."""
    diffs = "diff_order_book_btcusd"
    desk = Desk("bitstamp", [diffs])
    desk.open()
    desk.frame(f'{{"event":"bts:subscription_succeeded","channel":"{diffs}","data":{{}}}}')
    desk.clear()
    desk.seen(diffs)
    [first] = desk.of(Fetch)
    assert first.url == "https://www.bitstamp.net/api/v2/order_book/btcusd/?group=1"
    desk.answer(first.key, b'{"microtimestamp":"1"}')
    for _ in range(33):
        desk.wait(9.0)
        desk.frame('{"event":"bts:heartbeat"}')
        desk.seen(diffs)
    assert len(_books(desk)) == 1
    desk.wait(4.0)
    assert len(_books(desk)) == 2
    desk.answer(_books(desk)[-1].key, b'{"microtimestamp":"2"}')
    assert len(desk.payloads(diffs)) == 2
    desk.take(desk.session.reconcile(desk.now, ["live_trades_btcusd"]))
    for _ in range(40):
        desk.wait(9.0)
        desk.frame('{"event":"bts:heartbeat"}')
    assert len(_books(desk)) == 2


def _books(desk: Desk) -> list[Fetch]:
    return [fetch for fetch in desk.of(Fetch) if "order_book" in fetch.url]
