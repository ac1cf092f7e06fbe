"""The times of certificates, against what `cryptography` reads, and against nonsense."""

import base64
from datetime import UTC, datetime

import pytest
import trustme
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from kernel.transport.certificates import certificates

TIMES = [
    (datetime(2020, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
    (datetime(1999, 12, 31, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)),
    (datetime(2051, 2, 28, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
]


@pytest.mark.parametrize(("begins", "ends"), TIMES)
def test_times_are_those_that_other_software_reads(begins: datetime, ends: datetime) -> None:
    made = trustme.CA().issue_cert("a.example", not_before=begins, not_after=ends)
    [found] = certificates(made.cert_chain_pems[0].bytes().decode())
    other = x509.load_pem_x509_certificate(made.cert_chain_pems[0].bytes())
    assert found.not_before == other.not_valid_before_utc == begins
    assert found.not_after == other.not_valid_after_utc == ends


def test_all_certificates_of_a_text_are_found_in_its_order() -> None:
    made = trustme.CA().create_child_ca().issue_cert("a.example")
    blobs = [blob.bytes().decode() for blob in made.cert_chain_pems]
    text = "# a comment\n" + made.private_key_pem.bytes().decode() + "\n\n".join(blobs)
    found = certificates(text.replace("\n", "\r\n"))
    assert [base64.b64encode(one.der) for one in found] == [
        base64.b64encode(certificates(blob)[0].der) for blob in blobs
    ]
    assert len(found) == len(blobs) > 1


@given(st.binary(max_size=200))
def test_nonsense_is_refused_and_nothing_else_happens(data: bytes) -> None:
    body = base64.b64encode(data).decode()
    with pytest.raises(ValueError, match=r"no certificate|cannot be read"):
        certificates(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----")


DER = certificates(trustme.CA().cert_pem.bytes().decode())[0].der


@given(st.integers(0, 199), st.integers(0, 255))
def test_changed_certificate_is_read_or_refused(at: int, byte: int) -> None:
    body = base64.b64encode(DER[:at] + bytes([byte]) + DER[at + 1 :]).decode()
    try:
        [found] = certificates(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----")
    except ValueError as error:
        assert "cannot be read" in str(error)  # noqa: PT017 - most are, some change only a name
    else:
        assert len(found.der) == len(DER)
