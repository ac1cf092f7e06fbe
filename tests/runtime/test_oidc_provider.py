"""The provider as a process knows it: against a real one, honest, lying, slow and away."""

import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from kernel.callers.people.oidc import Attempt, SignInRefused
from kernel.callers.people.roles import Role
from kernel.callers.people.signed_in import SignedIn
from kernel.config.settings import load
from kernel.errors import AddressRefused
from kernel.runtime.kernel import Kernel
from kernel.runtime.oidc_provider import AWAY_SECONDS, RENEW_SECONDS, OidcProvider, policy_of
from kernel.transport.addresses import check_address, check_url
from tests.support.oidc_provider import Provider
from tests.support.waiting import wait_until

PUBLIC = "http://127.0.0.1:9"
REDIRECT = f"{PUBLIC}/dashboard/oidc/callback"
DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with Provider(REDIRECT) as found:
        yield found


@pytest.fixture
def provider(running: Provider) -> Iterator[Provider]:
    """The provider of this file, honest again afterwards."""
    yield running
    running.tell(lie="", slow=0)


class Visitor:
    """A person who signs in, in a process that has met no provider before."""

    def __init__(self, kernel: Kernel, provider: Provider) -> None:
        self.seconds = 0.0
        self.known = OidcProvider(kernel, lambda: self.seconds)
        self.provider = provider

    def code(self, name: str = "alice") -> tuple[str, Attempt]:
        """Come back from the provider with a code."""
        attempt = Attempt.begin("/")
        led_back = self.provider.sign_in(self.known.start(attempt, REDIRECT), name)
        asked = parse_qs(urlsplit(led_back).query)
        assert asked["state"] == [attempt.state]
        return asked["code"][0], attempt

    def finish(self, code: str, attempt: Attempt) -> SignedIn:
        return self.known.finish(code, attempt, REDIRECT, time.time())

    def sign_in(self, name: str = "alice") -> SignedIn:
        return self.finish(*self.code(name))


def kernel_of(provider: Provider) -> Kernel:
    return Kernel(load(database_url="sqlite:///unused.db", public_url=PUBLIC, **provider.settings))


@pytest.fixture
def visitor(provider: Provider) -> Iterator[Visitor]:
    kernel = kernel_of(provider)
    yield Visitor(kernel, provider)
    kernel.close()


def said(act: Callable[[], object]) -> str:
    """Return with which words a sign-in is refused."""
    with pytest.raises(SignInRefused) as refused:
        act()
    return refused.value.said


# ---- Honest -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("alice", Role.ADMIN),
        ("norah", Role.OPERATOR),
        ("vera", Role.VIEWER),
        ("ursula", Role.OPERATOR),
    ],
)
def test_person_has_the_role_of_their_group_when_signed_in(
    visitor: Visitor, name: str, role: Role
) -> None:
    issuer = visitor.provider.issuer
    assert visitor.sign_in(name) == SignedIn(issuer, f"sub-{name}", name, role)


@pytest.mark.parametrize("name", ["otto", "nell"])
def test_person_is_refused_when_no_group_has_a_role(visitor: Visitor, name: str) -> None:
    assert said(lambda: visitor.sign_in(name)) == "oidc_no_role"


def test_metadata_and_keys_are_asked_for_once_when_many_sign_in(visitor: Visitor) -> None:
    before = len(visitor.provider.asked())
    for _ in range(3):
        visitor.sign_in()
    asked = visitor.provider.asked()[before:]
    assert (asked.count(DISCOVERY), asked.count("/jwks"), asked.count("/token")) == (1, 1, 3)


def test_person_gets_in_at_once_when_the_provider_has_rotated_its_keys(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.provider.tell(rotate=True)
    assert visitor.sign_in().name == "alice"


def test_secret_goes_in_the_form_when_the_provider_takes_it_there_alone(visitor: Visitor) -> None:
    visitor.provider.tell(lie="post_only")
    code, attempt = visitor.code()
    visitor.provider.tell(lie="")
    assert visitor.finish(code, attempt).name == "alice"


# ---- Codes ------------------------------------------------------------------------------------


def test_code_is_good_for_nothing_when_it_was_used_or_is_another_attempts(
    visitor: Visitor,
) -> None:
    code, attempt = visitor.code()
    assert said(lambda: visitor.finish(code, Attempt.begin("/"))) == "oidc_untrusted"
    assert visitor.finish(code, attempt).name == "alice"
    assert said(lambda: visitor.finish(code, attempt)) == "oidc_untrusted"
    assert said(lambda: visitor.finish("made-up", attempt)) == "oidc_untrusted"


# ---- Lies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lie",
    [
        *(
            "issuer",
            "issuers",
            "audience",
            "audience_and_azp",
            "audiences",
            "azp",
            "nonce",
            "no_nonce",
        ),
        *("expired", "from_the_future", "not_yet", "endless", "no_exp", "at_hash"),
        *("no_subject", "odd_subject", "long_subject"),
        *("none", "hs256", "hs256_of_the_public_key", "strange_key", "unknown_key"),
        *("changed", "unsigned", "nonsense", "huge", "html"),
    ],
)
def test_nobody_gets_in_when_the_id_token_is_wrong(visitor: Visitor, lie: str) -> None:
    code, attempt = visitor.code()
    visitor.provider.tell(lie=lie)
    assert said(lambda: visitor.finish(code, attempt)) == "oidc_untrusted"


def test_person_gets_in_when_the_clocks_differ_by_half_a_minute(visitor: Visitor) -> None:
    code, attempt = visitor.code()
    visitor.provider.tell(lie="just_expired")
    assert visitor.finish(code, attempt).name == "alice"


def test_nobody_gets_in_when_the_userinfo_is_another_persons(visitor: Visitor) -> None:
    assert said(lambda: visitor.sign_in("mallory")) == "oidc_untrusted"


@pytest.mark.parametrize("lie", ["metadata_issuer", "metadata_plain", "metadata_script", "html"])
def test_browser_is_sent_nowhere_when_the_metadata_is_wrong(visitor: Visitor, lie: str) -> None:
    visitor.provider.tell(lie=lie)
    assert said(lambda: visitor.known.start(Attempt.begin("/"), REDIRECT)) == "oidc_untrusted"


def test_nobody_gets_in_when_the_provider_offers_shared_secrets_alone(visitor: Visitor) -> None:
    visitor.provider.tell(lie="metadata_hs256")
    code, attempt = visitor.code()
    visitor.provider.tell(lie="hs256")
    assert said(lambda: visitor.finish(code, attempt)) == "oidc_untrusted"


def test_redirect_of_the_provider_is_not_followed(visitor: Visitor) -> None:
    visitor.provider.tell(lie="elsewhere")
    assert said(lambda: visitor.known.start(Attempt.begin("/"), REDIRECT)) == "oidc_away"


def test_keys_are_asked_for_again_now_and_then_when_they_are_unknown(visitor: Visitor) -> None:
    visitor.sign_in()
    before = visitor.provider.asked().count("/jwks")
    visitor.seconds = RENEW_SECONDS
    for asked in (1, 1, 1, 2):
        if asked == 2:
            visitor.seconds *= 2
        code, attempt = visitor.code()
        visitor.provider.tell(lie="unknown_key")
        assert said(lambda c=code, a=attempt: visitor.finish(c, a)) == "oidc_untrusted"  # type: ignore[misc]
        visitor.provider.tell(lie="")
        assert visitor.provider.asked().count("/jwks") - before == asked


# ---- Away and slow ----------------------------------------------------------------------------


def test_provider_is_left_alone_for_some_seconds_when_it_did_not_answer(
    visitor: Visitor,
) -> None:
    provider = visitor.provider
    provider.tell(lie="broken")
    before = provider.asked().count(DISCOVERY)
    for _ in range(3):
        assert said(lambda: visitor.known.start(Attempt.begin("/"), REDIRECT)) == "oidc_away"
    assert provider.asked().count(DISCOVERY) == before + 1
    provider.tell(lie="")
    visitor.seconds += AWAY_SECONDS
    assert visitor.sign_in().name == "alice"


def test_metadata_is_used_on_when_it_is_old_and_the_provider_is_away(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.provider.tell(lie="broken")
    visitor.seconds += 4000
    assert visitor.known.start(Attempt.begin("/"), REDIRECT).startswith(visitor.provider.issuer)


def test_nobody_listens_when_the_provider_has_ended() -> None:
    with Provider(REDIRECT) as gone:
        kernel = kernel_of(gone)
        visitor = Visitor(kernel, gone)
        code, attempt = visitor.code()
    assert said(lambda: visitor.finish(code, attempt)) == "oidc_away"
    fresh = OidcProvider(kernel)
    assert said(lambda: fresh.start(attempt, REDIRECT)) == "oidc_away"
    kernel.close()


def test_three_threads_wait_at_most_when_the_provider_is_slow(visitor: Visitor) -> None:
    codes = [visitor.code() for _ in range(4)]
    visitor.provider.tell(slow=4)
    ended: list[str] = []

    def finish(code: str, attempt: Attempt) -> None:
        try:
            ended.append(visitor.finish(code, attempt).name)
        except SignInRefused as refused:
            ended.append(refused.said)

    threads = [threading.Thread(target=finish, args=one) for one in codes]
    for thread in threads:
        thread.start()
    wait_until(lambda: ended, 8, "the fourth one's refusal")
    assert ended == ["oidc_away"]
    for thread in threads:
        thread.join()
    assert len(ended) == 4


# ---- Addresses --------------------------------------------------------------------------------


def test_only_the_issuers_own_host_may_be_private() -> None:
    policy = policy_of("https://sso.corp")
    named = check_url("https://sso.corp/token", policy)
    check_address("10.1.2.3", policy, named.named)
    for odd in ("https://other.corp/token", "https://10.1.2.3/token", "https://127.0.0.1/token"):
        with pytest.raises(AddressRefused):
            check_url(odd, policy)
    for address in ("127.0.0.1", "169.254.169.254"):
        with pytest.raises(AddressRefused):
            check_address(address, policy, named.named)


@pytest.mark.parametrize(
    ("issuer", "opened", "closed"),
    [
        ("https://10.1.2.3:8443/x", "10.1.2.3", "10.1.2.4"),
        ("http://127.0.0.1:8080", "127.0.0.1", "127.0.0.2"),
        ("http://localhost:8080", "127.0.0.1", "127.0.0.2"),
        ("http://[::1]:8080", "::1", "fe80::1"),
    ],
)
def test_address_of_the_issuer_is_opened_and_no_other(
    issuer: str, opened: str, closed: str
) -> None:
    policy = policy_of(issuer)
    check_url(f"{issuer}/token", policy)
    check_address(opened, policy)
    with pytest.raises(AddressRefused):
        check_address(closed, policy)
