"""The ledger as a page: parsed, not only there."""

from __future__ import annotations

from collections import Counter
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tapeline.cli.main import main
from tests.cli.ledger_lake import Row, hole, hour, publish

DAY = date(2026, 8, 2)
MIDNIGHT = 1_785_628_800_000_000_000
HOUR = 3_600_000_000_000
HOSTILE = '</title><script>alert("1")</script><img src=x onerror=alert(2)>\x00&amp;'


class Page(HTMLParser):
    """Tags, attributes and texts; fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes.append((tag, dict(attrs)))
        if tag != "meta":
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        """Attributes of what has a class."""
        return [attributes for _, attributes in self.attributes if name in (attributes.get("class") or "").split()]

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.texts)


def page(tmp_path: Path, hours: list[Row], gaps: list[Row]) -> Page:
    publish(tmp_path, DAY, {"KRAKEN": (hours, gaps)})
    target = tmp_path / "ledger.html"
    assert main(["ledger", DAY.isoformat(), "--data-dir", str(tmp_path), "--html", str(target)]) == 0
    return Page(target.read_text(encoding="utf-8"))


def test_the_heat_map_has_a_cell_for_each_channel_and_hour(tmp_path: Path) -> None:
    """With its count, its colour by who has it, and a mark where something is wrong."""
    hours = [
        hour("a", 0, in_both=1200), hour("a", 1, in_both=99, primary_only=1), hour("a", 2, in_both=1, replica_only=1),
        hour("a", 4, replica_only=7, rejected=1), hour("b", 23, in_both=2, gaps=1, bars_expected=3, bars_found=3),
    ]  # fmt: skip
    found = page(tmp_path, hours, [])
    cells = found.of_class("cell")
    assert len(cells) == 2 * 24
    fills = [cell["fill"] for cell in cells[:24]]
    assert len({fills[0], fills[1], fills[2], fills[3], fills[4], fills[5]}) == 6
    assert (fills[3], fills[5]) == ("url(#silent)", "#fff")
    # Two tiles (gaps, rejects), and a cell of each channel.
    assert len(found.of_class("wrong")) == 2 + 2
    assert {"1.2k", "100"} <= set(found.texts)


def test_gaps_lie_on_the_time_line_where_they_were(tmp_path: Path) -> None:
    """Left and filled apart, by lane; a short one is still to be seen; exact bounds when pointed at and in the table."""
    gaps = [
        hole("PRIMARY", 10, 12, MIDNIGHT + 6 * HOUR, MIDNIGHT + 12 * HOUR, 2),
        hole("REPLICA", 99, 99, MIDNIGHT + 18 * HOUR + 5, MIDNIGHT + 18 * HOUR + 9, 0),
    ]
    found = page(tmp_path, [hour("a", 0, in_both=1), hour("_stream", 6, "", gaps=1)], gaps)
    (left,), (filled,) = found.of_class("left"), found.of_class("filled")
    width = 24 * 31
    assert float(left["x"] or 0) == pytest.approx(330 + width / 4)
    assert float(left["width"] or 0) == pytest.approx(width / 4)
    assert float(filled["x"] or 0) == pytest.approx(330 + width * 0.75, abs=0.01)
    assert float(filled["width"] or 0) >= 3
    assert float(filled["y"] or 0) > float(left["y"] or 0)
    assert (
        "PRIMARY raw stream, session 17, sequences 10 to 12; 06:00:00 to 12:00:00; 2 missing; fell_out_of_ring"
        in found.text
    )
    assert {"1 left", "none left", "06:00:00", "12:00:00"} <= set(found.texts)


def test_volumes_are_drawn_to_scale(tmp_path: Path) -> None:
    """The fullest hour is as tall as the chart, the others by their share, who has them one above the other."""
    found = page(tmp_path, [hour("a", 3, in_both=300, primary_only=100), hour("a", 4, in_both=100)], [])
    heights = [float(bar["height"] or 0) for bar in found.of_class("volume")]
    assert heights == pytest.approx([82.5, 27.5, 27.5])


def test_a_hostile_name_is_only_text(tmp_path: Path) -> None:
    """In names, titles and labels; the page has no script, loads nothing, and no sign that cannot be shown."""
    found = page(tmp_path, [hour(HOSTILE, 0, HOSTILE, in_both=1, gaps=1)], [{"kind": "venue", "instance": "PRIMARY",
        "channel": HOSTILE, "raw_symbol": HOSTILE, "raw_epoch": 1, "from_sequence": 1, "to_sequence": 2, "from_ts": MIDNIGHT,
        "to_ts": MIDNIGHT + 1, "missing": None, "reason": HOSTILE}])  # fmt: skip
    assert found.tags["script"] == found.tags["img"] == found.tags["link"] == found.tags["iframe"] == 0
    assert not any(name.startswith("on") or name in ("src", "href") for _, each in found.attributes for name in each)
    assert HOSTILE.replace("\x00", "\\u0000") in found.text
    assert "\x00" not in found.text


def test_a_thousand_channels_stay_readable(tmp_path: Path) -> None:
    """Forty with the most wrong are open, all others folded, and every one of them is there."""
    hours = [hour(f"c{n:04d}", at, in_both=n, rejected=int(n == 777)) for n in range(1, 1001) for at in (3, 4)]
    found = page(tmp_path, hours, [])
    assert len(found.of_class("cell")) == 1000 * 24
    names = [text for text in found.texts if text.startswith("KRAKEN c")]
    assert names[0] == "KRAKEN c0777"
    assert found.tags["svg"] == 1 + 5 + 1 + 1
    assert [attributes for tag, attributes in found.attributes if tag == "details" and "open" in attributes] == []
    assert (tmp_path / "ledger.html").stat().st_size < 12_000_000


def test_an_empty_day_is_a_page_too(tmp_path: Path) -> None:
    """It says what is wrong and draws nothing."""
    publish(tmp_path, DAY, {})
    target = tmp_path / "ledger.html"
    assert main(["ledger", DAY.isoformat(), "--data-dir", str(tmp_path), "--html", str(target)]) == 0
    found = Page(target.read_text(encoding="utf-8"))
    assert "EMPTY: no payload of any provider" in found.texts
    assert found.tags["svg"] == 0


def test_a_file_that_cannot_be_written_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage."""
    publish(tmp_path, DAY, {"KRAKEN": ([hour("a", 0, in_both=1)], [])})
    target = tmp_path / "none" / "ledger.html"
    assert main(["ledger", DAY.isoformat(), "--data-dir", str(tmp_path), "--html", str(target)]) == 2
    assert "cannot write" in capsys.readouterr().err
