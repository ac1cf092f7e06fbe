"""A stranger's text in the markup of each system, and where it is cut. Pure."""

import html
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.formats.shapes.text_shaping import FORMATS, adf, shape_text, shaper


@pytest.mark.parametrize(
    ("text_format", "text", "expected"),
    [
        ("plain", "<b>\x00\r\n", "<b>\ufffd\n"),
        ("journal", "[CODE]<b>[/Code] a[1]", "[\u200bCODE]<b>[\u200b/Code] a[\u200b1]"),
        ("html", "<b a='1'>&\r\nx", "&lt;b a=&#39;1&#39;&gt;&amp;<br>\nx"),
        ("wiki", "{code} [~admin] !x.png!", "\\{code\\} \\[~admin\\] \\!x.png\\!"),
        ("wiki", "a\\b|c", "a&#92;b\\|c"),
        ("textile", '"x":y @all {{toc}}', "&quot;x&quot;:y @\u200ball &#123;&#123;toc&#125;&#125;"),
        ("markdown", "/close\nhi @all", "\\/close\nhi @\u200ball"),
        ("markdown", "[x](y) <b> #1", "\\[x\\]\\(y\\) \\<b\\> \\#1"),
        ("mrkdwn", "<!here> & <@U1>", "&lt;!here&gt; &amp; &lt;@U1&gt;"),
        ("card", "[x](https://evil)", "[x]\u200b(https://evil)"),
        ("adf", "{<@", "{<@"),
    ],
)
def test_text_is_escaped_for_its_system(text_format: str, text: str, expected: str) -> None:
    assert shaper(text_format)(text) == expected
    assert shape_text(text, text_format, None) == expected


def test_document_has_a_paragraph_for_each_line_and_no_empty_text() -> None:
    content = adf("a\n\nb")["content"]
    assert [one["content"] for one in content] == [
        [{"type": "text", "text": "a"}],
        [],
        [{"type": "text", "text": "b"}],
    ]


def test_cut_is_seen_and_says_how_long_the_text_is() -> None:
    found = shape_text("x" * 1000, "plain", 100)
    assert found.startswith("xxx")
    assert found.endswith("x ... (cut: the text has 1000 characters)")
    assert len(found) == 100


def test_cut_never_parts_an_escape_from_itself() -> None:
    found = shape_text("&" * 1000, "html", 99)
    assert found.partition(" ...")[0].replace("&amp;", "") == ""


@given(st.text(), st.sampled_from(sorted(FORMATS)), st.integers(1, 300))
def test_text_is_never_longer_than_its_limit(text: str, text_format: str, limit: int) -> None:
    assert len(shape_text(text, text_format, limit)) <= limit


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_html_has_no_tag_and_says_the_same(text: str) -> None:
    found = shaper("html")(text)
    assert "<" not in found
    assert html.unescape(found) == text


@given(st.text(alphabet="/@#\n \tax\\"))
def test_markdown_has_no_command_and_no_mention(text: str) -> None:
    found = shaper("markdown")(text)
    assert not any(line.strip().startswith("/") for line in found.split("\n"))
    assert all(found[n + 1 : n + 2] == "\u200b" for n, sign in enumerate(found) if sign == "@")


@pytest.mark.parametrize("text_format", sorted(FORMATS))
@pytest.mark.parametrize("text", ["<", "\\", "\n", "x", "@", "\x00"])
def test_cost_of_shaping_grows_with_the_text_alone(text_format: str, text: str) -> None:
    def seconds(times: int) -> float:
        began = time.process_time()
        shape_text(text * times, text_format, 500)
        return time.process_time() - began

    seconds(10_000)
    assert seconds(80_000) < 40 * seconds(10_000) + 0.05
