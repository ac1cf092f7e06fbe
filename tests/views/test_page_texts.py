"""What pages say: in both languages, with the same values, each of it used and none missing."""

import re
import sys
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Formatter

import pytest

from kernel.db.states import DeliveryState, OrderState
from kernel.delivery.attempt import UNSENT
from kernel.delivery.breakers import HOST_FAILURES, OUR_FAILURES
from kernel.delivery.outgoing.gates import PATH_FAILURES
from kernel.insight.conditions.words import Words
from kernel.transport.backoff import NOT_SENT
from kernel.views.html.texts import GROUPS, MADE, TEXTS
from kernel.views.html.wording import Wording, plain, pretty_json

ROOT = Path(__file__).resolve().parents[2]
PACKAGE, API_PAGE = ROOT / "kernel", ROOT / "docs" / "api.md"
CODE = [
    path.read_text()
    for path in [*PACKAGE.glob("views/html/templates/**/*.html"), *PACKAGE.rglob("*.py")]
    if path.parent.name != "texts"
]
ASKED = re.compile(r"""\bt\(\s*["'](\w+)["']\s*[,)]""")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_texts_are_in_both_languages_with_the_same_values() -> None:
    for key, said in TEXTS.items():
        assert set(said) == {"en", "zh"}, key
        assert all(said.values()), key
        assert placeholders(said["en"]) == placeholders(said["zh"]), key


def test_texts_have_one_place_each_when_groups_are_put_together() -> None:
    assert sum(len(group) for group in GROUPS) == len(TEXTS)


def test_every_text_asked_for_is_there() -> None:
    asked = {key for code in CODE for key in ASKED.findall(code)}
    assert asked - set(TEXTS) == set()


def test_every_text_there_is_asked_for() -> None:
    said = {key for key in TEXTS if not key.startswith(MADE)}
    words = {word for code in CODE for word in re.findall(r"""["'](\w+)["']""", code)}
    assert {key.removesuffix("_one") for key in said} - words == set()


def known_reasons() -> set[str]:
    """Those of attempts that have a word on the pages."""
    named = {key.removeprefix("reason_") for key in TEXTS if key.startswith("reason_")}
    return named - {"hint"}  # of a form


def test_api_page_tells_each_reason_of_an_attempt_that_was_made() -> None:
    _, _, told = API_PAGE.read_text().partition("`reason` of a failed attempt is one of")
    words = set(re.findall(r"`(\w+)`", told.partition("\n\n")[0]))
    # Interim answers are passed over, and a redirect has a reason of its own.
    assert words == known_reasons() - NOT_SENT - {"http_1xx", "http_3xx"}


def test_each_reason_of_an_attempt_is_a_cause_in_a_sentence() -> None:
    """On an order's page, and of a receiver that is failing, for a terminal, too."""
    reasons = known_reasons()
    assert set(OUR_FAILURES | HOST_FAILURES | PATH_FAILURES | UNSENT) <= reasons
    assert [one for one in sorted(reasons) if f"cause_{one}" not in Words.texts] == []


def test_one_thing_is_no_many() -> None:
    t = Wording("en")
    said = [t("callbacks_in_all", n=n) for n in (0, 1, "1", "1+", 2)]
    assert said == ["0 callbacks", "1 callback", "1 callback", "1+ callbacks", "2 callbacks"]
    assert Wording("zh")("callbacks_in_all", n=1) == "1 个回调"


def test_every_beginning_of_made_keys_is_used() -> None:
    words = "\n".join(CODE)
    assert [one for one in MADE if f'"{one}' not in words] == []


def test_every_state_has_a_text() -> None:
    made = {f"state_{one}" for one in OrderState} | {f"delivery_{one}" for one in DeliveryState}
    assert made - set(TEXTS) == set()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "40 ms"),
        (3.21, "3.2 s"),
        (45, "45 s"),
        (600, "10 min"),
        (7200, "2 h"),
        (400000, "5 d"),
    ],
)
def test_span_is_said_in_its_unit_when_short_or_long(seconds: float, said: str) -> None:
    assert Wording("en").span(seconds) == said


def test_moment_is_said_from_now_when_past_and_to_come() -> None:
    t = Wording("en")
    assert t.ago(NOW - timedelta(minutes=5), NOW) == "5 min ago"
    assert t.ago(NOW + timedelta(hours=3), NOW) == "in 3 h"
    assert t.ago(NOW, NOW) == "just now"


def test_count_says_that_there_are_more_when_it_stopped_at_its_limit() -> None:
    t = Wording("en")
    assert (t.count(9999, 10_000), t.count(10_000, 10_000)) == ("9,999", "10,000+")


def test_unseen_characters_are_written_out_when_text_is_hostile() -> None:
    assert plain("a\u202eb\x1b[0m\u200b") == "a\\u202eb\\u001b[0m\\u200b"
    assert plain("桥 😀𠜎 é\n\t👨‍👩‍👧") == "桥 😀𠜎 é\n\t👨‍👩‍👧"
    assert plain("INC1\U000e0041\u3164") == "INC1\\U000e0041\\u3164"


# Format characters (Unicode's Cf) that are seen, and the two joiners.
SEEN = {0x200C, 0x200D, *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
HIEROGLYPHS = range(0x13430, 0x13440)


def test_each_control_and_format_character_is_written_out() -> None:
    hidden = [
        code
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zl", "Zp")
        and code not in {*SEEN, *HIEROGLYPHS, 0x9, 0xA}
    ]
    assert [hex(code) for code in hidden if plain(chr(code)) == chr(code)] == []


def test_text_stays_as_it_is_when_it_is_no_json() -> None:
    assert pretty_json("{not json") == "{not json"
