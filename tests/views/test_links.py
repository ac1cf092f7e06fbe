"""Links to the page of one order, and the key that they and the sessions are signed with."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import delete, func, select

from kernel.db.tables.service import ServiceKey
from kernel.runtime.kernel import Kernel
from kernel.runtime.service_key import KEEP_SECONDS, ServiceKeys
from kernel.views.http.links import TOKEN, Links

ORDER = "01a1fbbe-f34d-7981-810d-57a278250261"
OTHER = "01a1fbbe-f34d-7981-810d-57a278250262"


def links(kernel: Kernel) -> Links:
    """What a process that has just started makes links with."""
    return Links(ServiceKeys(kernel))


def test_link_leads_to_its_order_when_another_process_reads_it(kernel: Kernel) -> None:
    token = links(kernel).token(ORDER)
    assert links(kernel).order_id(token) == ORDER
    assert links(kernel).token(ORDER) == token
    assert links(kernel).token(OTHER) != token


def forged(token: str) -> list[str]:
    """What somebody could make of one link without knowing the key."""
    raw = base64.urlsafe_b64decode(token)
    other_id = raw[:15] + bytes([raw[15] ^ 1]) + raw[16:]
    changed = [token[:n] + ("A" if token[n] != "A" else "B") + token[n + 1 :] for n in range(TOKEN)]
    return [
        *("", "=", token[:-1], token[:-4], token + "AAAA", token + "=", f" {token}", token + "\n"),
        *(token.swapcase(), "é" * TOKEN, "\x00" * TOKEN, token.replace(token[0], "+"), "A" * TOKEN),
        *(base64.urlsafe_b64encode(other_id).decode(), base64.urlsafe_b64encode(raw[:16]).decode()),
        *changed,
    ]


def test_link_leads_nowhere_when_anything_in_it_was_changed(kernel: Kernel) -> None:
    found = links(kernel)
    assert {one: found.order_id(one) for one in forged(found.token(ORDER))} == dict.fromkeys(
        forged(found.token(ORDER))
    )


def test_link_has_one_spelling_when_base64_has_others(kernel: Kernel) -> None:
    found, spelled = links(kernel), 0
    for number in range(40):
        token = found.token(f"{ORDER[:-2]}{number:02}")
        for url, plain in ("-+", "_/"):
            if url in token:
                spelled += 1
                assert base64.b64decode(token.replace(url, plain), b"-_")
                assert found.order_id(token.replace(url, plain)) is None
        assert found.order_id(token) is not None
    assert spelled > 0


def test_link_of_another_installation_leads_nowhere_when_followed(
    make_kernel: Callable[..., Kernel], tmp_path: object
) -> None:
    ours, theirs = (make_kernel(f"sqlite:///{tmp_path}/{name}.db") for name in ("a", "b"))
    assert links(theirs).order_id(links(ours).token(ORDER)) is None


def test_key_is_one_for_everybody_when_many_need_it_first(kernel: Kernel) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: ServiceKeys(kernel).for_purpose("sessions"), range(8)))
    assert len(made) == 1
    with kernel.read_session() as session:
        assert session.scalar(select(func.count()).select_from(ServiceKey)) == 1


def test_key_differs_when_the_purpose_does(kernel: Kernel) -> None:
    keys = ServiceKeys(kernel)
    assert keys.for_purpose("sessions") != keys.for_purpose("links")
    assert len(keys.for_purpose("links")) == 32


def test_links_end_within_a_minute_when_the_row_is_deleted(kernel: Kernel) -> None:
    now = [0.0]
    found = Links(ServiceKeys(kernel, lambda: now[0]))
    token = found.token(ORDER)
    with kernel.write_session() as session:
        session.execute(delete(ServiceKey))
    assert found.order_id(token) == ORDER
    now[0] = KEEP_SECONDS
    assert found.order_id(token) is None


def test_key_is_kept_when_the_database_goes_away(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel, now = make_kernel(sqlite_url), [0.0]
    keys = ServiceKeys(kernel, lambda: now[0])
    before = keys.for_purpose("links")
    with kernel.write_session() as session:
        session.execute(delete(ServiceKey))
        ServiceKey.__table__.drop(session.connection())
    now[0] = KEEP_SECONDS
    assert keys.for_purpose("links") == before
