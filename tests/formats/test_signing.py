"""Standard Webhooks signatures, checked against the reference library and against forgeries."""

import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from kernel.formats.signing import (
    SignatureInvalid,
    decode_secret,
    headers,
    new_secret,
    sign,
    verify,
)

OLD, NEW = "whsec_" + "A" * 43 + "=", "whsec_" + "B" * 42 + "A="
BODY = '{"status":0,"msg":"成功"}'.encode()
NOW = 1_790_000_000


def signed(*secrets: str, at: int = NOW) -> dict[str, str]:
    return headers(secrets, "msg_1", at, BODY)


def test_new_secret_holds_32_random_bytes() -> None:
    first, second = new_secret(), new_secret()
    assert first != second
    assert len(decode_secret(first)) == 32


@pytest.mark.parametrize(
    "secret", ["", "whsec_", OLD.removeprefix("whsec_"), "whsec_!!!!", "whsec_QUJD", "whsec_密"]
)
def test_secret_is_refused_without_being_shown_when_malformed(secret: str) -> None:
    with pytest.raises(ValueError, match="signing secret") as caught:
        decode_secret(secret)
    assert secret in ("", "whsec_") or secret not in str(caught.value)


def test_signature_is_the_one_the_standard_gives_as_its_example() -> None:
    # The example of the standard's reference implementations.
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    signature = sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_reference_library_accepts_both_secrets_during_rotation(secret: str) -> None:
    made = signed(OLD, NEW, at=int(time.time()))
    assert Webhook(secret).verify(BODY, made) == {"status": 0, "msg": "成功"}


def test_headers_hold_no_signature_without_secrets() -> None:
    assert signed() == {"webhook-id": "msg_1", "webhook-timestamp": str(NOW)}


def test_verify_accepts_when_any_secret_matches_and_names_are_in_any_case() -> None:
    shouted = {name.upper(): value for name, value in signed(OLD, NEW).items()}
    verify([new_secret(), NEW], shouted, BODY, NOW)


CHANGES: dict[str, tuple[Mapping[str, str], str]] = {
    "no id": ({"webhook-id": ""}, "webhook-id is missing"),
    "other id": ({"webhook-id": "msg_2"}, "no signature matches"),
    "other time": ({"webhook-timestamp": str(NOW + 1)}, "no signature matches"),
    "time in words": ({"webhook-timestamp": "today"}, "not a number"),
    "time with sign": ({"webhook-timestamp": f"+{NOW}"}, "not a number"),
    "time in other digits": ({"webhook-timestamp": "١٧٩٠٠٠٠٠٠٠"}, "not a number"),
    "time without end": ({"webhook-timestamp": "9" * 5000}, "not a number"),
    "no version": ({"webhook-signature": "K5oZfzN95Z9UVu1Es"}, "no signature matches"),
    "not base64": ({"webhook-signature": "v1,***"}, "no signature matches"),
    "surrogates": ({"webhook-signature": "v1,\ud800"}, "no signature matches"),
}


@pytest.mark.parametrize(("change", "reason"), CHANGES.values(), ids=CHANGES)
def test_verify_refuses_when_a_header_is_changed(change: dict[str, str], reason: str) -> None:
    with pytest.raises(SignatureInvalid, match=reason):
        verify([OLD], signed(OLD) | change, BODY, NOW)


def test_verify_refuses_when_the_body_is_changed() -> None:
    with pytest.raises(SignatureInvalid, match="no signature matches"):
        verify([OLD], signed(OLD), BODY + b" ", NOW)


def test_verify_refuses_when_signed_by_somebody_else() -> None:
    with pytest.raises(SignatureInvalid, match="no signature matches"):
        verify([OLD], signed(NEW), BODY, NOW)


@pytest.mark.parametrize(("late", "reason"), [(301, "301 s old"), (-301, "301 s ahead")])
def test_verify_refuses_when_the_message_is_out_of_time(late: int, reason: str) -> None:
    with pytest.raises(SignatureInvalid, match=reason):
        verify([OLD], signed(OLD), BODY, NOW + late)


@pytest.mark.parametrize("late", [300, -300])
def test_verify_accepts_at_the_edge_of_the_tolerance(late: int) -> None:
    verify([OLD], signed(OLD), BODY, NOW + late)


@given(st.dictionaries(st.sampled_from(list(signed(OLD))), st.text()))
def test_verify_raises_nothing_but_its_own_error_whatever_the_headers(
    found: dict[str, str],
) -> None:
    with pytest.raises(SignatureInvalid):
        verify([OLD], found, BODY, NOW)
