"""One table of a callback's headers: what is sent, what is shown. Pure."""

from kernel.formats.callback_headers import (
    CALLBACK_HEADERS,
    HeaderFacts,
    callback_headers,
    shown_headers,
)

SIGNED = {"webhook-id": "d1", "webhook-timestamp": "7", "webhook-signature": "v1,s3cret"}
ALL = HeaderFacts("r1", "00-1-2-01", SIGNED)
FEW = HeaderFacts(None, None, {"webhook-id": "d1", "webhook-timestamp": "7"})


def test_every_header_of_the_table_is_sent_when_its_value_is_known() -> None:
    sent = callback_headers(ALL, {})
    assert list(sent) == [row.name for row in CALLBACK_HEADERS]
    assert (sent["x-request-id"], sent["traceparent"]) == ("r1", "00-1-2-01")
    assert SIGNED.items() <= sent.items()


def test_headers_are_left_out_when_their_value_is_not_known() -> None:
    assert callback_headers(ALL, {}).keys() - callback_headers(FEW, {}).keys() == {
        "x-request-id",
        "traceparent",
        "webhook-signature",
    }


def test_every_callback_has_what_the_table_promises() -> None:
    always = {row.name for row in CALLBACK_HEADERS if row.always}
    assert always - {"webhook-signature"} <= callback_headers(FEW, {}).keys()


def test_static_header_takes_the_place_of_the_user_agent_alone() -> None:
    sent = callback_headers(ALL, {"User-Agent": "mine", "Webhook-Id": "forged"})
    assert (sent["User-Agent"], sent["webhook-id"]) == ("mine", "d1")
    assert "user-agent" not in sent


def test_no_secret_is_shown_and_nothing_that_was_not_sent() -> None:
    shown = shown_headers(FEW, ["X-Token", "User-Agent"])
    assert shown == [
        ("content-type", "application/json"),
        ("webhook-id", "d1"),
        ("webhook-timestamp", "7"),
        ("webhook-signature", None),
        ("x-token", None),
        ("user-agent", None),
    ]
    assert "s3cret" not in repr(shown_headers(ALL, [])) + repr(ALL)
