"""What a provider's answer proves: algorithms, keys, claims, groups and roles."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from kernel.callers.people.oidc import (
    ALGORITHMS,
    Attempt,
    Rules,
    SignInRefused,
    UnknownKey,
    algorithms_of,
    authorization_url,
    checked_claims,
    groups_of,
    person_of_claims,
    signing_keys,
)
from kernel.callers.people.roles import Role

ISSUER, CLIENT, NOW = "https://sso.example/realms/people", "kernel", 1_800_000_000
ROLES = (("noc", Role.OPERATOR), ("kernel-admins", Role.ADMIN), ("all", Role.VIEWER))
RULES = Rules(ISSUER, CLIENT, ("openid", "email"), "groups", ROLES)
ATTEMPT = Attempt("state", "nonce", "verifier" * 8, "/dashboard/")
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
CLAIMS = {
    **{"iss": ISSUER, "aud": CLIENT, "sub": "s-1", "nonce": "nonce"},
    **{"iat": NOW, "exp": NOW + 60, "groups": ["noc"]},
}


def check(token: str, keys: KeySet, algorithms: list[str] | None = None) -> dict[str, Any]:
    return checked_claims(
        {"id_token": token}, keys, algorithms or list(ALGORITHMS), RULES, ATTEMPT, NOW
    )


def published(*keys: Any) -> KeySet:
    return signing_keys(KeySet(list(keys)).as_dict(private=False))


# ---- The way there ----------------------------------------------------------------------------


def test_browser_takes_along_a_challenge_and_not_the_verifier() -> None:
    url = authorization_url("https://sso.example/auth?theme=x", RULES, ATTEMPT, "https://k/cb")
    asked = {name: one for name, [one] in parse_qs(urlsplit(url).query).items()}
    assert asked == {
        "theme": "x",
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": "https://k/cb",
        "scope": "openid email",
        "state": "state",
        "nonce": "nonce",
        "code_challenge": create_s256_code_challenge(ATTEMPT.verifier),
        "code_challenge_method": "S256",
    }
    assert ATTEMPT.verifier not in url


def test_attempts_share_no_secret_and_survive_being_dumped() -> None:
    one, other = Attempt.begin("/a"), Attempt.begin("/a")
    secrets = {one.state, one.nonce, one.verifier, other.state, other.nonce, other.verifier}
    assert len(secrets) == 6
    assert all(len(secret) >= 43 for secret in secrets)
    assert Attempt.load(one.dump()) == one


# ---- Keys and algorithms ----------------------------------------------------------------------


def test_shared_secrets_and_broken_keys_are_left_out_of_a_key_set() -> None:
    secret = OctKey.generate_key(256, {"kid": "secret"}).as_dict(private=True)
    listed = [secret, {"kty": "RSA", "kid": "no n"}, {"kty": "new"}, "text", None, KEY.as_dict()]
    assert [key.kid for key in signing_keys({"keys": listed})] == ["one"]
    for odd in ({}, {"keys": None}, {"keys": "text"}, {"keys": []}):
        assert list(signing_keys(odd)) == []


def test_only_algorithms_with_a_private_key_are_accepted() -> None:
    assert algorithms_of(["HS256", "none", "ES256", "RS256", 1]) == ["RS256", "ES256"]
    assert algorithms_of(["HS256", "none"]) == []
    assert algorithms_of(None) == list(ALGORITHMS)
    assert not [one for one in ALGORITHMS if one.startswith("HS") or one == "none"]


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
def test_id_token_is_accepted_when_one_of_the_keys_has_signed_it(algorithm: str) -> None:
    curve = ECKey.generate_key("P-256", {"kid": "two"})
    key = curve if algorithm == "ES256" else KEY
    token = jwt.encode({"alg": algorithm, "kid": key.kid}, CLAIMS, key, [algorithm])
    assert check(token, published(KEY, curve))["sub"] == "s-1"


def test_id_token_is_refused_when_its_key_is_for_another_algorithm() -> None:
    token = jwt.encode({"alg": "PS256", "kid": "one"}, CLAIMS, KEY, ["PS256"])
    with pytest.raises(SignInRefused, match="UnsupportedAlgorithm"):
        check(token, published(KEY), ["RS256"])
    bound = RSAKey.import_key({**KEY.as_dict(private=False), "alg": "RS256"})
    with pytest.raises(UnknownKey):
        check(token, published(bound, RSAKey.generate_key(2048, {"kid": "other"})))


def test_unknown_key_is_told_apart_from_a_wrong_signature() -> None:
    stranger = RSAKey.generate_key(2048, {"kid": "three"})
    with pytest.raises(UnknownKey):
        check(jwt.encode({"alg": "RS256", "kid": "three"}, CLAIMS, stranger), published(KEY))
    with pytest.raises(SignInRefused, match="BadSignature"):
        check(jwt.encode({"alg": "RS256", "kid": "one"}, CLAIMS, stranger), published(KEY))
    with pytest.raises(UnknownKey):
        check(jwt.encode({"alg": "RS256", "kid": "one"}, CLAIMS, KEY), published())


def test_id_token_is_refused_when_it_is_no_text_of_three_parts() -> None:
    for odd in ("", "a.b", "a.b.c", "😀", "." * 5, "e30.e30.e30", "[" * 9000):
        with pytest.raises(SignInRefused) as refused:
            check(odd, published(KEY))
        assert refused.value.said == "oidc_untrusted"
    with pytest.raises(SignInRefused):
        checked_claims({"id_token": None}, published(KEY), ["RS256"], RULES, ATTEMPT, NOW)


@pytest.mark.parametrize("late", [0, 59, 119])
def test_clocks_may_differ_by_a_minute(late: int) -> None:
    token = jwt.encode({"alg": "RS256", "kid": "one"}, CLAIMS, KEY)
    tokens = {"id_token": token}
    assert checked_claims(tokens, published(KEY), ["RS256"], RULES, ATTEMPT, NOW + late)
    assert checked_claims(tokens, published(KEY), ["RS256"], RULES, ATTEMPT, NOW - 60)
    for wrong in (NOW + 121, NOW - 61):
        with pytest.raises(SignInRefused):
            checked_claims(tokens, published(KEY), ["RS256"], RULES, ATTEMPT, wrong)


# ---- Who it is --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["all"], Role.VIEWER),
        (["all", "kernel-admins", "noc"], Role.ADMIN),
        ("noc", Role.OPERATOR),
        (["noc", 7, None, {"x": 1}], Role.OPERATOR),
    ],
)
def test_person_gets_the_highest_role_of_their_groups(groups: Any, role: Role) -> None:
    assert person_of_claims(CLAIMS | {"groups": groups}, RULES).role is role


@pytest.mark.parametrize("groups", [None, [], "", "NOC", ["noc "], [["noc"]], {"noc": 1}, True])
def test_person_in_no_such_group_is_refused(groups: Any) -> None:
    with pytest.raises(SignInRefused) as refused:
        person_of_claims(CLAIMS | {"groups": groups}, RULES)
    assert refused.value.said == "oidc_no_role"


def test_groups_are_found_below_other_claims_and_under_names_with_dots() -> None:
    assert groups_of({"realm_access": {"roles": ["noc"]}}, "realm_access.roles") == {"noc"}
    assert groups_of({"https://k.example/g": ["noc"]}, "https://k.example/g") == {"noc"}
    for odd in ({}, {"realm_access": None}, {"realm_access": ["roles"]}):
        assert groups_of(odd, "realm_access.roles") == frozenset()


def test_address_of_mail_gives_a_role_only_when_it_is_verified() -> None:
    claims = {"email": "a@example.com"}
    assert groups_of(claims | {"email_verified": True}, "email") == {"a@example.com"}
    for odd in ({}, {"email_verified": False}, {"email_verified": "no"}, {"email_verified": None}):
        assert groups_of(claims | odd, "email") == frozenset()


def test_person_is_called_by_the_best_name_that_can_be_shown() -> None:
    def name(**claims: Any) -> str:
        return person_of_claims(CLAIMS | claims, RULES).name

    assert name(preferred_username="alice", email="a@example.com") == "alice"
    assert name(preferred_username=" ", email="a@example.com") == "a@example.com"
    assert name(preferred_username=["x"], email="a\x1b[31m", name="Alice 王") == "Alice 王"
    assert name() == "s-1"
    assert len(name(preferred_username="x" * 5000)) == 100
