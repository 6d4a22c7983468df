"""Keys from acks: learned, used to unsubscribe, forgotten, and learned anew."""

from __future__ import annotations

from tapeline.spec.session import Lifetime
from tests.session_manager.desk import Desk, Forget, Learn
from tests.session_manager.made_up import KEYED

A, B = "book:A", "book:B"
SUBSCRIBED = '{"event":"subscribed","channel":"book","chanId":%d,"symbol":"%s"}'
UNSUBSCRIBED = '{"event":"unsubscribed","status":"OK","chanId":%d}'


def _desk(**changes: object) -> Desk:
    desk = Desk(KEYED, [A, B], **changes)
    desk.open()
    assert desk.frame(SUBSCRIBED % (11, "A"))
    assert desk.frame(SUBSCRIBED % (12, "B"))
    return desk


def test_an_ack_tells_the_key() -> None:
    """Each channel's key is learned for its connection."""
    assert _desk().of(Learn) == [Learn(0, "11", A), Learn(0, "12", B)]


def test_a_channel_is_left_by_its_key_and_learned_anew() -> None:
    """Unsubscribed by the key, which is forgotten with the answer; the next subscription brings another."""
    desk = _desk()
    assert desk.resync(A)
    assert desk.texts()[-1] == '{"event":"unsubscribe","chanId":11}'
    assert not desk.of(Forget)
    assert desk.frame(UNSUBSCRIBED % 11)
    assert desk.of(Forget) == [Forget(0, "11")]
    assert desk.texts()[-1] == '{"event":"subscribe","channel":"book","symbol":"A"}'
    assert desk.frame(SUBSCRIBED % (13, "A"))
    assert desk.of(Learn)[-1] == Learn(0, "13", A)


def test_an_answer_for_a_key_nobody_knows_is_unknown() -> None:
    """It answers nothing of ours."""
    assert not _desk().frame(UNSUBSCRIBED % 99)


def test_a_lost_connection_forgets_all_keys() -> None:
    """The new connection's keys are others, for the same channels."""
    desk = _desk()
    desk.close(0)
    assert desk.of(Forget) == [Forget(0)]
    desk.wait(2.0)
    desk.connect(1)
    desk.frame(SUBSCRIBED % (12, "A"), connection=1)
    desk.frame(SUBSCRIBED % (11, "B"), connection=1)
    assert desk.of(Learn)[2:] == [Learn(1, "12", A), Learn(1, "11", B)]


def test_a_refused_channel_has_no_key() -> None:
    """The others keep theirs."""
    desk = Desk(KEYED, [A, B])
    desk.open()
    assert desk.frame('{"event":"error","msg":"symbol: invalid","code":10300,"channel":"book","symbol":"A"}')
    assert desk.frame(SUBSCRIBED % (12, "B"))
    assert desk.of(Learn) == [Learn(0, "12", B)]
    assert desk.reports("channel_refused") == [{"channel": A, "reason": "symbol: invalid"}]


def test_maintenance_is_waited_out_and_everything_subscribed_anew() -> None:
    """Silence is normal until the venue is back; then every channel is left and asked for again."""
    desk = _desk(lifetime=Lifetime(silence=60.0))
    assert desk.frame('{"event":"info","code":20060,"msg":"Entering in Maintenance mode"}')
    desk.wait(600.0)
    assert not desk.reports("connection_lost")
    # What is not asked in a pause does not wake the session over and over.
    assert desk.session.deadline(desk.now) > desk.now
    assert desk.frame('{"event":"info","code":20061,"msg":"Maintenance ended"}')
    assert desk.texts()[-2:] == ['{"event":"unsubscribe","chanId":11}', '{"event":"unsubscribe","chanId":12}']
    desk.frame(UNSUBSCRIBED % 11)
    desk.frame(UNSUBSCRIBED % 12)
    desk.frame(SUBSCRIBED % (21, "A"))
    desk.frame(SUBSCRIBED % (22, "B"))
    assert desk.of(Learn)[2:] == [Learn(0, "21", A), Learn(0, "22", B)]
    assert desk.session.lines[0].subscriptions.settled
