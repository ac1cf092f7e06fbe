"""Which URLs and addresses are allowed, as tables; and that all parsers read them alike."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.connection import HTTPConnection
from urllib3.util import parse_url

from kernel.errors import AddressRefused
from kernel.transport.addresses import (
    INTERNAL_PORTS,
    CallbackPolicy,
    check_address,
    check_url,
    origin_of,
)

CLOSED = CallbackPolicy()


def opened(*nets: str, hosts: tuple[str, ...] = ()) -> CallbackPolicy:
    return CallbackPolicy.from_strings(nets, hosts)


def refusal(url: str, policy: CallbackPolicy = CLOSED) -> AddressRefused:
    with pytest.raises(AddressRefused) as caught:
        check_url(url, policy)
    return caught.value


ACCEPTED = {
    "https://hooks.example.com": ("https", "hooks.example.com", 443, "/"),
    "HTTPS://Hooks.Example.COM/A?b=C": ("https", "hooks.example.com", 443, "/A?b=C"),
    "http://a.example:8080?x": ("http", "a.example", 8080, "/?x"),
    "https://a.example:443/": ("https", "a.example", 443, "/"),
    "http://a.example:443/": ("http", "a.example", 443, "/"),
    "https://xn--fiqs8s.example/%E6%88%90": ("https", "xn--fiqs8s.example", 443, "/%E6%88%90"),
    "https://8.8.8.8/": ("https", "8.8.8.8", 443, "/"),
    "https://[2606:4700:0:0::1111]:8443/": ("https", "2606:4700::1111", 8443, "/"),
    "https://a.example//b;c=@[d]!$&'()*+,": ("https", "a.example", 443, "//b;c=@[d]!$&'()*+,"),
    "https://my_hooks.1a.example/": ("https", "my_hooks.1a.example", 443, "/"),
}

REFUSED = {
    "length": ["https://a.example/" + "z" * 2048],
    "characters": [
        "", " https://a.example/", "https://a.example/ ", "https://a.example/\n",
        "https://a.example/\x00", "http://127.0.0.1\\@a.example/", "https://a.example\\/",
        "https://中国.example/", "https://ⓛocalhost/", "https://a。example/", "https://a.example/<",
        "https://a.example/%", "https://a.example/%zz", "https://a.example/\ud800",
        "https://a.example\t/", "https://a.example/١",
    ],
    "fragment": ["https://a.example/#", "https://a.example/#b", "https://a.example#@b.example/"],
    "scheme": ["ftp://a.example/", "file:///etc/passwd", "//a.example/", "a.example", "https:a",
               "https:/a.example/", "gopher://a.example/", "javascript:alert(1)", "httpss://a.b/"],
    "userinfo": ["https://u@a.example/", "https://u:p@a.example/", "https://@a.example/",
                 "https://a.example:443@127.0.0.1/", "https://a.example%40b.example@c.example/"],
    "host": [
        "https:///", "https://:443/", "https://?x", "https://a.example./", "https://./",
        "https://a..example/", "https://.example.com/", "https://-a.example/", "https://a-.example/",
        "https://a%2eexample/", "https://a,example/", "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 125 + "example/", "https://[::1/", "https://[a.b]/",
        "https://[1.2.3.4]/", "https://[fe80::1%25eth0]/", "https://[v1.a]/", "https://[]/",
        # What some software reads as an IPv4 address.
        "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://127.1/",
        "https://0177.0.0.1/", "https://127.0.0.01/", "https://1.2.3.4.5/", "https://1.2.3.256/",
        "https://a.123/", "https://a.0x/", "https://a.0xg1.0xab/", "https://127.0.0.0x1/",
        "https://a.example.0/",
    ],
    "port": [
        "https://a.example:/", "https://a.example:0/", "https://a.example:0443/",
        "https://a.example:65536/", "https://a.example:+443/", "https://a.example:44a/",
        "https://a.example:443:443/", "https://a.example:22/", "https://a.example:25/",
        "https://a.example:1023/", "https://a.example:6379/", "https://a.example:2375/",
        "https://a.example:11211/", "https://a.example:10250/", "https://a.example:6000/",
    ],
    "single_label": ["https://intranet/", "https://localhost/", "https://kubernetes/"],
    "private_name": [
        "https://a.localhost/", "https://printer.local/", "https://metadata.google.internal/",
        "https://box.lan/", "https://a.home.arpa/", "https://home.arpa/", "https://wiki.corp/",
        "https://A.INTERNAL/", "https://a.onion/", "https://1.0.0.127.in-addr.arpa/",
        "https://a.test/", "https://a.invalid/", "https://web.prod.svc/", "https://web.consul/",
        "https://web.prod.svc.cluster.local/", "https://web.prod.svc.cluster/",
    ],
    "loopback": ["https://127.0.0.1/", "https://127.255.255.254/", "https://[::1]/"],
    "unspecified": ["https://0.0.0.0/", "https://0.1.2.3/", "https://[::]/"],
    "link_local": ["https://169.254.1.1/", "https://[fe80::1]/"],
    "metadata": ["https://169.254.169.254/", "https://168.63.129.16/", "https://[fd00:ec2::254]/",
                 "https://100.100.100.200/"],
    "private": ["https://10.0.0.1/", "https://172.16.0.1/", "https://172.31.255.255/",
                "https://192.168.1.1/", "https://100.64.0.1/", "https://[fc00::1]/",
                "https://[fdff::1]/", "https://[fec0::1]/"],
    "multicast": ["https://224.0.0.1/", "https://239.255.255.255/", "https://[ff02::1]/"],
    "reserved": [
        "https://192.0.0.1/", "https://192.0.2.1/", "https://192.88.99.1/", "https://198.18.0.1/",
        "https://198.19.255.255/", "https://198.51.100.1/", "https://203.0.113.1/",
        "https://240.0.0.1/", "https://255.255.255.255/", "https://[::ffff:8.8.8.8]/",
        "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/",
        "https://[64:ff9b:1::10.0.0.1]/", "https://[2606:4700::5efe:127.0.0.1]/",
        "https://[2606:4700::200:5efe:8.8.8.8]/",
        "https://[2001::1]/", "https://[2001:db8::1]/", "https://[3fff::1]/", "https://[::2]/",
        "https://[4000::1]/", "https://[100::1]/", "https://[2620:4f:8000::1]/",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("url", "parts"), ACCEPTED.items(), ids=ACCEPTED)
def test_url_is_accepted_and_normal_when_public(url: str, parts: tuple[object, ...]) -> None:
    target = check_url(url, CLOSED)
    assert (target.scheme, target.host, target.port, target.path) == parts
    assert target.origin == origin_of(url)


@pytest.mark.parametrize(("rule", "url"), [(r, u) for r, urls in REFUSED.items() for u in urls])
def test_url_is_refused_by_the_rule_it_breaks(rule: str, url: str) -> None:
    assert refusal(url).rule == rule


@pytest.mark.parametrize("port", sorted(INTERNAL_PORTS))
def test_port_is_refused_when_of_an_internal_service(port: int) -> None:
    assert refusal(f"https://a.example:{port}/").setting == (
        f"KERNEL_CALLBACK_ALLOW_HOSTS or --callback-host: a.example:{port}"
    )


@pytest.mark.parametrize("url", ["https://10.0.0.1/", "https://wiki.corp/", "https://a.b:22/"])
def test_refusal_names_the_setting_in_the_setting_alone(url: str) -> None:
    error = refusal(url)
    assert error.setting is not None
    assert "KERNEL" not in error.message
    assert "10.0.0.1" not in error.message


# Where clouds hand out credentials, in what is a private network of IPv6 by its address.
METADATA = (
    *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "fd00:c1::a9fe:a9fe"),
    *("fd00:a9fe:a9fe::1", "fd00:100::100:200"),
)
# policy, address, whether a name the policy names resolved to it, allowed?
OPENED = [
    (opened("10.1.0.0/16"), "10.1.2.3", False, True),
    (opened("10.1.0.0/16"), "10.2.0.1", False, False),
    (opened("10.1.0.0/16"), "127.0.0.1", False, False),
    (opened("0.0.0.0/0"), "10.2.0.1", False, True),
    (opened("0.0.0.0/0"), "127.0.0.1", False, False),
    (opened("0.0.0.0/0"), "0.0.0.0", False, False),
    (opened("0.0.0.0/0"), "169.254.169.254", False, False),
    (opened("100.64.0.0/10"), "100.100.100.200", False, False),
    (opened("0.0.0.0/0"), "::1", False, False),
    (opened("::/0"), "fd00::1", False, True),
    (opened("::/0"), "::1", False, False),
    (opened("::/0"), "fd00:ec2::254", False, False),
    *((opened("fd00::/8"), one, False, False) for one in METADATA),
    *((CLOSED, one, True, False) for one in METADATA),
    (opened("fd00:ec2::23"), "fd00:ec2::23", False, True),
    (opened("fd00::/8"), "fd20:ce:1::1", False, True),
    (opened("::/0"), "::ffff:127.0.0.1", False, False),
    (opened("::/0"), "::127.0.0.1", False, False),
    (opened("64:ff9b::/96"), "64:ff9b::8.8.8.8", False, True),
    (opened("64:ff9b::/96"), "64:ff9b::10.0.0.1", False, False),
    (opened("64:ff9b::/96", "10.0.0.0/8"), "64:ff9b::10.0.0.1", False, True),
    (opened("64:ff9b:1::/48"), "64:ff9b:1::8.8.8.8", False, True),
    (opened("64:ff9b:1::/48"), "64:ff9b:1::10.0.0.1", False, False),
    (opened("64:ff9b:1::/48"), "64:ff9b:1:a00:0:100::", False, False),  # embedded after 48 bits
    (opened("64:ff9b:1::/48", "10.0.0.0/8"), "64:ff9b:1::10.0.0.1", False, True),
    (opened("2001:db8::/32"), "2001:db8::5efe:127.0.0.1", False, False),
    (opened("2001:db8::/32"), "2001:db8::200:5efe:10.0.0.1", False, False),
    (opened("2001:db8::/32", "10.0.0.0/8"), "2001:db8::200:5efe:10.0.0.1", False, True),
    (opened("2002::/16"), "2002:7f00:1::", False, False),
    (opened("127.0.0.1/32"), "127.0.0.1", False, True),
    (opened("127.0.0.1"), "127.0.0.1", False, True),
    (opened("127.0.0.1/32"), "127.0.0.2", False, False),
    (opened("127.0.0.1/32"), "::1", False, False),
    (opened("::1/128"), "::1", False, True),
    (opened("169.254.169.254/32"), "169.254.169.254", False, True),
    (CLOSED, "10.0.0.1", True, True),
    (CLOSED, "fd00::1", True, True),
    (CLOSED, "127.0.0.1", True, False),
    (CLOSED, "169.254.169.254", True, False),
    (CLOSED, "0.0.0.0", True, False),
    (CLOSED, "fe80::1%eth0", True, False),
    (CLOSED, "fd00::1%eth0", True, False),
    (CLOSED, "224.0.0.1", True, False),
    (CLOSED, "8.8.8.8", False, True),
    (CLOSED, "2606:4700::1111", False, True),
    (CLOSED, "not an address", True, False),
]


@pytest.mark.parametrize(("policy", "ip", "named", "allowed"), OPENED)
def test_address_is_allowed_exactly_when_named(
    policy: CallbackPolicy, ip: str, named: bool, allowed: bool
) -> None:
    try:
        check_address(ip, policy, named)
    except AddressRefused:
        assert not allowed
    else:
        assert allowed


@pytest.mark.parametrize(
    ("host", "url", "allowed"),
    [
        ("tickets", "http://tickets:8080/", True),
        ("Tickets.Internal", "http://tickets.internal/", True),
        ("tickets", "http://tickets:6379/", False),
        ("tickets:6379", "http://tickets:6379/", True),
        ("tickets:6379", "http://tickets/", False),
        ("tickets", "http://a.tickets.local/", False),
        ("a.internal", "http://b.a.internal/", False),
        ("10.0.0.1:6379", "http://10.0.0.1:6379/", False),
        ("8.8.8.8:53", "http://8.8.8.8:53/", True),
    ],
)
def test_host_is_allowed_exactly_when_named(host: str, url: str, allowed: bool) -> None:
    try:
        check_url(url, opened(hosts=(host,)))
    except AddressRefused:
        assert not allowed
    else:
        assert allowed


@pytest.mark.parametrize(
    "net", ["127.0.0.0/8", "169.254.0.0/16", "fe80::/64", "fd00:ec2::/64", "10.0.0.1/8", "x"]
)
def test_policy_refuses_a_network_when_it_would_open_nothing(net: str) -> None:
    with pytest.raises(ValueError, match=net):
        opened(net)


@pytest.mark.parametrize(
    "host", ["", "http://a.b/", "a b", "a.b:", "a.b:0", "a.b.", "*.b", "10.0.0.1"]
)
def test_policy_refuses_a_host_when_it_could_not_match(host: str) -> None:
    with pytest.raises(ValueError, match="is "):
        opened(hosts=(host,))


def test_merged_policy_allows_what_either_allows() -> None:
    merged = opened("10.0.0.0/8").merge(opened("127.0.0.1/32", hosts=("tickets",)))
    check_address("10.0.0.1", merged)
    check_address("127.0.0.1", merged)
    assert check_url("http://tickets/", merged).named


# Pieces in which parsers have disagreed, put together at random; and URLs that are mostly right.
PIECES = st.sampled_from([
    "//", "/", "\\", "@", ":", "?", "#", "%", "%2e", "%40", ".", "..", "[", "]", "[::1]", "::",
    "a.example", "127.0.0.1", "8.8.8.8", "0x7f", "1", "0443", ":443", ":8080", ";", ",", "&", "=",
    "+", "-", "_", "~", " ", "\t", "\n", "\x00", "。", "ß", "é", "𝟏", "user", "\ud800",
])  # fmt: skip
HOSTS = st.sampled_from(["a.example", "B.Example", "8.8.8.8", "[2606:4700:0::1]", "xn--fiqs8s.com"])
PORTS = st.sampled_from(["", ":80", ":443", ":8080", ":65535"])
PATHS = st.sampled_from(["", "/", "?", "/@:b", "//b.example", "/;a?b=//c@d:1/[e]"])
SCHEMES = st.sampled_from(["http", "https", "HTTPS"])
RIGHT = st.builds("{}://{}{}{}".format, SCHEMES, HOSTS, PORTS, PATHS)
WRONG = st.builds("{}{}".format, RIGHT | st.just("http://"), st.lists(PIECES).map("".join))


@given(RIGHT | WRONG)
@example("http://127.0.0.1\\@a.example/")
def test_parsers_and_connection_agree_when_a_url_is_accepted(url: str) -> None:
    try:
        target = check_url(url, CLOSED)
    except AddressRefused:
        return
    default = 443 if target.scheme == "https" else 80
    split, parsed = urlsplit(url), parse_url(url)
    connection = HTTPConnection(target.host, target.port)
    agreed = {(plain(split.hostname), split.port or default)}
    agreed |= {(plain(parsed.host), parsed.port or default)}
    agreed |= {(plain(connection.host), connection.port), (target.host, target.port)}
    assert len(agreed) == 1


def plain(host: str | None) -> str:
    bare = (host or "").strip("[]").lower()
    return str(ip_address(bare)) if ":" in bare else bare
