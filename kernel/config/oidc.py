"""Forms of the settings of sign-in by OpenID Connect, and what they need of each other."""

import ipaddress
import re
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from kernel.errors import ConfigurationError

if TYPE_CHECKING:
    from kernel.config.settings import Settings

# What `KERNEL_OIDC_ROLES` may give; `kernel.callers.people.roles.Role` says what they mean.
ROLES = ("viewer", "operator", "admin")


def _issuer(value: str) -> str:
    if not value:
        return value
    if len(value) > 255:
        raise ValueError("an issuer has at most 255 characters")
    parts = urlsplit(value)
    plain = re.fullmatch(r"[!-~]+", value) and not re.search(r"[?#@\\]", value)
    if not plain or parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("write it as the provider does: https://HOST or https://HOST/PATH")
    parts.port  # noqa: B018 - reading it checks it
    if parts.scheme == "http" and not is_this_host(parts.hostname):
        raise ValueError("a provider on another host needs https")
    return value


def _pairs(value: Any) -> Any:
    """Split ``a=admin, b=operator``; a group's name may hold spaces, and in TOML commas."""
    if isinstance(value, str):
        return [one.strip() for one in value.split(",") if one.strip()]
    return value


def _roles(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        group, _, role = value.rpartition("=")
        if not group.strip() or role.strip() not in ROLES:
            raise ValueError(f"write each as GROUP=ROLE, with one of the roles {', '.join(ROLES)}")
    return values


def is_this_host(name: str) -> bool:
    """Tell whether a URL's host is this one."""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


Issuer = Annotated[str, AfterValidator(_issuer)]
GroupRoles = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_pairs), AfterValidator(_roles)]


def refuse_incomplete(settings: "Settings") -> None:
    """Raise ConfigurationError when there is a provider, and something it needs is missing."""
    if not settings.oidc_issuer:
        return
    needed = {
        "KERNEL_OIDC_CLIENT_ID": settings.oidc_client_id,
        "KERNEL_OIDC_CLIENT_SECRET": settings.oidc_client_secret.get_secret_value(),
        "KERNEL_OIDC_ROLES": settings.oidc_roles,
        "KERNEL_PUBLIC_URL": settings.public_url,
    }
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise ConfigurationError(f"KERNEL_OIDC_ISSUER also needs {', '.join(missing)}")
    if "openid" not in settings.oidc_scopes:
        raise ConfigurationError("KERNEL_OIDC_SCOPES must hold the word openid")
