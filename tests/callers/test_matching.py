"""Which receiver a URL belongs to: a table, and properties over all that could be written."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.callers.matching import Prefix, best, matches

BASE = "https://desk.example/api/now"

BELOW = (
    BASE,
    f"{BASE}/",
    f"{BASE}/table/incident",
    f"{BASE}?sysparm_limit=2",
    f"{BASE}/a?x=/../;\\%2e".replace("\\", "%5C"),
    "HTTPS://DESK.example:443/api/now/x",
    "https://desk.example/%61pi/n%6Fw",
    f"{BASE}/file.json",
    f"{BASE}/50%25",
)
ELSEWHERE = (
    "http://desk.example/api/now",
    "https://desk.example:8443/api/now",
    "https://other.example/api/now",
    "https://desk.example.evil.example/api/now",
    "https://desk.example/api/nowhere",
    "https://desk.example/api",
    "https://desk.example/API/now",
    "https://desk.example/api%2Fnow",
    "https://desk.example",
)
AMBIGUOUS = (
    f"{BASE}//x",
    f"{BASE}//",
    "https://desk.example//api/now",
    f"{BASE}/./x",
    f"{BASE}/x/..",
    f"{BASE}/../../other",
    f"{BASE}/..;/other",
    f"{BASE}/x;y=1",
    f"{BASE}/x%3By",
    f"{BASE}/%2e%2E/other",
    f"{BASE}/%252e%252e/other",
    f"{BASE}/%25252E./other",
    f"{BASE}/a%2Fb",
    f"{BASE}/a%5cb",
    f"{BASE}/a\\b",
    f"{BASE}/a%00",
    f"{BASE}/%0d%0a",
    f"{BASE}#x",
    "https://user@desk.example/api/now",
    "ftp://desk.example/api/now",
    "receiver:desk",
    "",
)


@pytest.mark.parametrize("url", BELOW)
def test_url_matches_when_it_is_below_the_prefix(url: str) -> None:
    assert matches(Prefix.parse(BASE), url)
    assert matches(Prefix.parse(f"{BASE}/"), url)


@pytest.mark.parametrize("url", ELSEWHERE)
def test_url_does_not_match_when_it_leads_elsewhere(url: str) -> None:
    assert not matches(Prefix.parse(BASE), url)


@pytest.mark.parametrize("url", AMBIGUOUS)
def test_url_matches_nothing_when_it_can_be_read_in_two_ways(url: str) -> None:
    assert not matches(Prefix.parse(BASE), url)
    assert not matches(Prefix.parse("https://desk.example"), url)
    with pytest.raises(ValueError, match=r"^.+"):
        Prefix.parse(url)


def test_longest_prefix_is_taken_when_several_match() -> None:
    urls = ("https://desk.example", BASE, f"{BASE}/table", "https://other.example/api/now/table")
    known = {url: Prefix.parse(url) for url in urls}
    assert best(f"{BASE}/table/x", known) == f"{BASE}/table"
    assert best(f"{BASE}/tables", known) == BASE
    assert best("https://desk.example/x", known) == "https://desk.example"
    assert best("https://third.example/", known) is None


def test_first_prefix_is_taken_when_two_are_the_same() -> None:
    assert best(BASE, {2: Prefix.parse(f"{BASE}/"), 1: Prefix.parse(BASE)}) == 2


segments = st.text(min_size=1, max_size=8)
paths = st.lists(segments, max_size=4)


def address(path: list[str]) -> str:
    return "/".join(["https://desk.example", *(quote(one, safe="") for one in path)])


@given(paths, paths)
def test_url_matches_exactly_when_its_segments_begin_with_the_prefix(
    prefix: list[str], path: list[str]
) -> None:
    try:
        known, place = Prefix.parse(address(prefix)), Prefix.parse(address(path))
    except ValueError:
        return
    assert matches(known, address(path)) == (path[: len(prefix)] == prefix)
    assert place.segments == tuple(one.encode() for one in path)


@given(st.text(alphabet="ab/.%25cCeEfF;\\?#@: ", max_size=30))
def test_whatever_is_written_behind_a_prefix_cannot_lead_out_of_it(text: str) -> None:
    url = f"{BASE}/{text}"
    if matches(Prefix.parse(BASE), url):
        path = url.partition("?")[0].removeprefix(f"{BASE}/")
        assert not {"", ".", ".."} & set(path.removesuffix("/").split("/")) or not path
        assert not {"%2e", "%2f", "%5c"} & {path[at : at + 3].lower() for at in range(len(path))}
