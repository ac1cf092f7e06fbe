"""Who has signed in by OpenID Connect."""

from dataclasses import dataclass

from kernel.callers.people.roles import Role


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who has signed in, as the provider says: known by issuer and subject, not by name."""

    issuer: str
    subject: str
    name: str
    role: Role
