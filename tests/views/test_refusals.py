"""Refusals say what a client can go by: when to come back."""

from collections.abc import Iterator

import pytest

from kernel import errors
from kernel.views.http.errors import refusal


def kinds_of(kind: type[errors.KernelError]) -> Iterator[type[errors.KernelError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from kinds_of(one)


@pytest.mark.parametrize("kind", [*kinds_of(errors.Unavailable)])
def test_answer_says_when_to_come_back_when_it_is_a_503(kind: type[errors.KernelError]) -> None:
    for error in (kind("a vault did not answer"), kind(), kind(retry_after=7)):
        answer = refusal(error, "en")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) == error.data.get("retry_after", 10)
