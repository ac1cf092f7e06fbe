"""Hosts as people write them: one spelling each, which is the end of an origin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import AddressRefused
from kernel.formats.hosts import hosts_of, read_host, url_beginnings
from kernel.transport.addresses import origin_of

SPELLINGS = {
    "Receiver.EXAMPLE": "receiver.example",
    " receiver.example\t": "receiver.example",
    "receiver.example.": "receiver.example",
    "receiver.example.:8443": "receiver.example:8443",
    "http://receiver.example:8080": "receiver.example:8080",
    "HTTPS://Receiver.example/": "receiver.example:443",
    "http://receiver.example": "receiver.example:80",
    "tickets": "tickets",
    "my_host.example": "my_host.example",
    "bücher.example": "xn--bcher-kva.example",
    "https://BÜCHER。example": "xn--bcher-kva.example:443",
    "faß.example": "xn--fa-hia.example",
    "127.0.0.1:8025": "127.0.0.1:8025",
    "::1": "[::1]",
    "[0:0:0:0:0:0:0:1]:8080": "[::1]:8080",
    "http://[2001:DB8::0:1]": "[2001:db8::1]:80",
}
REFUSED = """two words|https://|https://a.example/path|a.example?x|a.example#x|ftp://a.example
user@a.example|a.example:|a.example:0443|a.example:65536|*|*.example|-a.example|a..example|.|127.1
0x7f.1|[::1|::1%eth0|[1.2.3.4]|٣.example|ａ／ｂ.example|receiver:tickets|a.example:port"""


@pytest.mark.parametrize(("text", "expected"), SPELLINGS.items())
def test_host_has_one_spelling_however_it_is_written(text: str, expected: str) -> None:
    assert read_host(text) == expected
    assert read_host(expected) == expected


@pytest.mark.parametrize("text", ["", "x" * 301, "a\0b", *REFUSED.replace("\n", "|").split("|")])
def test_text_is_refused_with_what_to_write_when_it_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match="write a name, name:port or https://name:port") as refused:
        read_host(text)
    assert len(str(refused.value)) < 400


@given(
    st.text()
    | st.from_regex(r"(https?://)?[A-Za-z0-9.:\[\]-]{1,30}(:[0-9]{1,5})?/?", fullmatch=True)
)
def test_host_is_refused_or_read_as_the_end_of_an_origin(text: str) -> None:
    try:
        host = read_host(text)
    except ValueError:
        return
    assert read_host(host) == host
    assert host in hosts_of(origin_of(f"https://{host}"))


@given(
    st.from_regex(
        r"https?://(\[[0-9a-f:]{2,20}\]|[A-Za-z0-9_.-]{1,30})(:[1-9][0-9]{0,4})?/?", fullmatch=True
    )
)
def test_origin_and_host_of_a_url_are_found_by_what_is_read_of_them(url: str) -> None:
    try:
        origin = origin_of(url)
    except AddressRefused:
        return
    assert read_host(url) in hosts_of(origin)
    assert hosts_of(origin) == {read_host(origin), read_host(origin).rpartition(":")[0]}
    assert all(read_host(host) == host for host in hosts_of(origin))


def test_url_begins_with_its_host_with_and_without_the_usual_port() -> None:
    assert url_beginnings("a.example") == ["http://a.example", "https://a.example"]
    assert url_beginnings("[::1]") == ["http://[::1]", "https://[::1]"]
    assert url_beginnings("a.example:443")[2:] == ["https://a.example"]
    assert url_beginnings("a.example:8443")[2:] == []
