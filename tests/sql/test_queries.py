"""The ten questions of docs/queries.md, as they stand there, on both engines, against plain Python."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tapeline.offline.answer_text import Value
from tests.sql import records
from tests.sql.conftest import Ask
from tests.sql.records import Records

pytestmark = pytest.mark.timeout(180)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "queries.md"
QUESTIONS = dict(re.findall(r"^## (\d+\. [^\n]+)\n.*?```sql\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE))
ANSWERS: dict[str, Callable[[Records], list[list[Value]]]] = {
    "1. Trades of a symbol": records.trades,
    "2. Best bid and offer at a time": records.quotes_at,
    "3. One-minute bars from trades": records.bars,
    "4. Spread by hour": records.spreads,
    "5. The book at an instant": records.book,
    "6. Price difference between two venues": records.differences,
    "7. Funding history": records.funding,
    "8. Gaps of a day": records.gaps,
    "9. Volume by venue": records.volumes,
    "10. The raw payload behind a record": records.payloads,
}


def test_the_page_has_ten_questions() -> None:
    """Each has its SQL, and each is checked here."""
    assert list(QUESTIONS) == list(ANSWERS)


@pytest.mark.parametrize("question", ANSWERS)
def test_a_question_is_answered_exactly(question: str, engine: Ask, day: Path) -> None:
    """The page's own text gives, on each engine, what plain Python makes of the same rows."""
    wanted = ANSWERS[question](Records(day / "lake"))
    assert wanted
    assert engine(QUESTIONS[question]).rows == wanted
