"""Sign-in by the provider in the audit trail: who came in, who was changed, who stayed outside."""

from typing import Any

from sqlalchemy import update

from kernel.callers.audit import search
from kernel.callers.audit.search import ActFilter
from kernel.callers.people.people import disable, find_person
from kernel.callers.people.roles import Role
from kernel.db.tables.people import Person
from kernel.runtime.kernel import Kernel
from tests.support.oidc_provider import Provider
from tests.support.oidc_provider.visiting import (
    CALLBACK,
    kernel,
    led_back,
    provider,
    running,
    visitor,
)
from tests.support.people.dashboard import Visitor

__all__ = ["kernel", "provider", "running", "visitor"]


def acts(kernel: Kernel) -> list[dict[str, Any]]:
    """Every act, the oldest first."""
    with kernel.read() as connection:
        return search.find(connection, ActFilter())[::-1]


def test_first_sign_in_adds_a_person_by_the_providers_word(
    kernel: Kernel, visitor: Visitor, provider: Provider
) -> None:
    before = len(acts(kernel))
    visitor.get(led_back(visitor, provider))
    added, began = acts(kernel)[before:]
    issuer = kernel.settings.oidc_issuer
    assert (added["verb"], added["actor"], added["target"]) == (
        *("person.add", issuer),
        "person alice",
    )
    assert (began["verb"], began["actor"], began["target"]) == (
        *("session.begin", "alice"),
        "session of alice",
    )
    assert (began["via"], began["address"]) == ("page", "127.0.0.1")


def test_role_that_the_provider_has_changed_is_an_act_and_the_same_role_is_none(
    kernel: Kernel, visitor: Visitor, provider: Provider
) -> None:
    visitor.get(led_back(visitor, provider))
    before = len(acts(kernel))
    visitor.get(led_back(visitor, provider))
    assert [one["verb"] for one in acts(kernel)[before:]] == ["session.begin"]
    with kernel.write_session() as session:
        said = find_person(session, "alice").role
        other = next(role for role in Role if role != said)
        session.execute(update(Person).values(role=other))
    before = len(acts(kernel))
    visitor.get(led_back(visitor, provider))
    changed, _ = acts(kernel)[before:]
    assert changed["verb"] == "person.set"
    assert (changed["before"]["role"], changed["after"]["role"]) == (other, said)


def test_person_of_the_provider_who_may_not_come_in_is_an_act(
    kernel: Kernel, visitor: Visitor, provider: Provider
) -> None:
    before = len(acts(kernel))
    visitor.get(led_back(visitor, provider, "otto"))
    (refused,) = acts(kernel)[before:]
    assert refused["verb"] == "sign_in.refused"
    assert "otto" in refused["after"]["why"]
    visitor.get(led_back(visitor, provider))
    with kernel.write_session() as session:
        disable(session, find_person(session, "alice"), kernel.clock.now())
    visitor.get(led_back(visitor, provider))
    assert acts(kernel)[-1]["after"] == {"why": "alice is disabled"}


def test_strangers_are_counted_and_write_no_act(kernel: Kernel, visitor: Visitor) -> None:
    before = len(acts(kernel))
    for _ in range(2):
        assert visitor.get(f"{CALLBACK}?code=x&state=y").status_code == 400
    assert len(acts(kernel)) == before
    kernel.refusals.write(kernel.write)
    with kernel.read() as connection:
        (counted,) = search.refused(connection)
    assert (counted["network"], counted["prefix"], counted["count"]) == ("127.0.0.0/24", "", 2)
