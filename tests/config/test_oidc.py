"""The settings of sign-in by OpenID Connect: their forms, and what must come together."""

from typing import Any

import pytest

from kernel.callers.people.roles import Role
from kernel.config.oidc import ROLES
from kernel.config.settings import Settings, load
from kernel.errors import ConfigurationError

COMPLETE = {
    "oidc_issuer": "https://sso.example/realms/people",
    "oidc_client_id": "kernel",
    "oidc_client_secret": "hidden-secret",
    "oidc_roles": "Kernel Admins=admin, noc=operator, a=b=viewer",
    "public_url": "https://kernel.example",
}


def loaded(**more: Any) -> Settings:
    return load(**{**COMPLETE, **more})


def test_groups_and_their_roles_are_read_from_one_line() -> None:
    assert loaded().oidc_roles == ("Kernel Admins=admin", "noc=operator", "a=b=viewer")
    listed = ["CN=noc,OU=groups=operator"]
    assert loaded(oidc_roles=listed).oidc_roles == tuple(listed)
    assert loaded().oidc_scopes == ("openid", "profile", "email")


def test_roles_of_the_settings_are_those_of_people() -> None:
    assert set(ROLES) == set(Role)


def test_secret_of_the_client_is_not_shown_with_the_settings() -> None:
    assert "hidden-secret" not in repr(loaded())


@pytest.mark.parametrize(
    "issuer",
    [
        *("sso.example", "ftp://sso.example", "https://", "https:///path", "javascript:alert(1)"),
        *("https://sso.example?x=1", "https://sso.example/#x", "https://a:b@sso.example"),
        *("https://sso.example:99999", "https://sso example", "https://sso.example\\x"),
        *("http://sso.example", "http://10.1.2.3", "http://127.0.0.1.example", "https://[::1"),
        "https://sso.example/" + "x" * 300,
    ],
)
def test_issuer_is_refused_when_it_is_no_address_of_a_provider(issuer: str) -> None:
    with pytest.raises(ConfigurationError, match="KERNEL_OIDC_ISSUER"):
        loaded(oidc_issuer=issuer)


@pytest.mark.parametrize(
    "issuer",
    [
        *("https://sso.example", "https://sso.example:8443/", "https://10.1.2.3/x"),
        *("http://127.0.0.1:8080/realms/x", "http://localhost:8080", "http://[::1]:8080"),
    ],
)
def test_issuer_is_kept_to_the_letter_when_it_has_tls_or_is_this_host(issuer: str) -> None:
    assert loaded(oidc_issuer=issuer).oidc_issuer == issuer


@pytest.mark.parametrize("roles", ["noc", "=admin", " = admin", "noc=root", "noc=", "noc=Admin"])
def test_roles_are_refused_when_they_name_no_group_or_no_role(roles: str) -> None:
    with pytest.raises(ConfigurationError, match="GROUP=ROLE"):
        loaded(oidc_roles=roles)


@pytest.mark.parametrize("missing", [name for name in COMPLETE if name != "oidc_issuer"])
def test_provider_is_refused_when_something_it_needs_is_missing(missing: str) -> None:
    with pytest.raises(ConfigurationError, match=f"KERNEL_{missing.upper()}"):
        loaded(**{missing: ""})


def test_scopes_are_refused_when_openid_is_not_among_them() -> None:
    with pytest.raises(ConfigurationError, match="openid"):
        loaded(oidc_scopes="profile email")


def test_nothing_is_needed_when_there_is_no_provider() -> None:
    assert loaded(oidc_issuer="", oidc_roles="", public_url="").oidc_issuer == ""
