"""What can be set of a receiver on its page: for how long a callback is tried."""

from kernel.runtime.kernel import Kernel
from tests.support.people.dashboard import operator, said, words
from tests.support.ticketing import make_receiver

PATH = "/dashboard/receivers"
URL = "https://desk.example/api"


def test_give_up_of_one_receiver_is_set_and_taken_back(kernel: Kernel) -> None:
    for name in ("desk", "other"):
        make_receiver(kernel, name, URL + name)
    visitor = operator(kernel)
    answer = visitor.post(f"{PATH}/anonymous/desk/give-up", give_up="2d", reason="CHG42")
    assert said(answer) == "done_give_up"
    assert 'value="2d"' in visitor.get(f"{PATH}/anonymous/desk").text
    assert 'name="give_up"' in visitor.get(f"{PATH}/anonymous/other").text
    assert 'value="2d"' not in visitor.get(f"{PATH}/anonymous/other").text
    visitor.post(f"{PATH}/anonymous/desk/give-up", give_up="")
    assert 'value="2d"' not in visitor.get(f"{PATH}/anonymous/desk").text


def test_give_up_that_is_no_time_is_refused_in_words(kernel: Kernel) -> None:
    make_receiver(kernel, "desk", URL)
    answer = operator(kernel).post(f"{PATH}/anonymous/desk/give-up", give_up="<b>soon")
    assert answer.status_code == 422
    assert "is no duration; write 90s, 5m, 2h or 4d" in words(answer)
    assert "<b>soon" not in answer.text
