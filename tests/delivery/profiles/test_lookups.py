"""What each system's answers to a lookup mean: the record, none, or ask again."""

import pytest

from kernel.formats.shapes.answer import Found, NotFound, found
from tests.delivery.profiles.cases import shape_of

HTML = "<!DOCTYPE html><html><body>Sign in</body></html>"
ROW = '{"sys_id":"9d38","number":"INC1"}'
OTHER = '{"sys_id":"aaaa","number":"INC10"}'
FEW_LOOKUPS = 4


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (200, f'{{"result":[{ROW}]}}', Found("9d38")),
        (200, f'{{"result":[{ROW},{OTHER}]}}', Found("9d38")),
        (200, '{"result":[]}', FEW_LOOKUPS),
        (200, f'{{"result":[{ROW},{ROW}]}}', True),
        (200, f'{{"result":[{OTHER}]}}', FEW_LOOKUPS),
        (404, '{"error":{"message":"No Record found"}}', FEW_LOOKUPS),
        (403, "{}", True),
        (200, HTML, False),
        (401, "{}", False),
        (429, "{}", False),
        (503, HTML, False),
    ],
)
def test_lookup_takes_exactly_one_row(status: int, body: str, wanted: Found | bool | int) -> None:
    """Where nothing is found: whether that is permanent, or after how many times it is."""
    lookup = shape_of("servicenow-table").lookup
    assert lookup is not None
    answer = found(lookup, "INC1", status, body.encode())
    told = answer.tries or answer.permanent if isinstance(answer, NotFound) else answer
    assert told == wanted


def test_lookup_of_zammad_reads_a_list_of_tickets() -> None:
    lookup = shape_of("zammad").lookup
    assert lookup is not None
    body = b'[{"id":7,"number":"22001"},{"id":8,"number":"122001"}]'
    assert found(lookup, "22001", 200, body) == Found(7)
