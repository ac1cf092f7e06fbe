"""States: one table says what each means to the wire, to Celery's clients and to people."""

from kernel.db.states import DeliveryState, OrderState
from kernel.formats.texts import TEXTS
from kernel.views.html.texts import TEXTS as PAGE_TEXTS


def test_every_state_has_its_row() -> None:
    assert {one: (one.is_final, one.wire_status, one.celery_state) for one in OrderState} == {
        "pending": (False, 2, "PENDING"),
        "waiting": (False, 2, "PENDING"),
        "running": (False, 2, "PROGRESS"),
        "success": (True, 0, "SUCCESS"),
        "warning": (True, 1, "SUCCESS"),
        "failed": (True, -1, "FAILURE"),
        "cancelled": (True, -1, "FAILURE"),
    }
    assert {one: one.is_over for one in DeliveryState} == {
        "pending": False,
        "delivered": True,
        "dead": True,
        "held": False,
    }


def test_finality_and_wire_status_agree() -> None:
    assert [one for one in OrderState if one.is_final == (one.wire_status == 2)] == []


def test_pages_say_every_state_in_both_languages() -> None:
    for state in OrderState:
        keys = (f"state_{state}", f"state_yours_{state}")
        said = [TEXTS[state], *(PAGE_TEXTS[key] for key in keys)]
        assert all(set(one) == {"en", "zh"} and all(one.values()) for one in said), state
    assert {PAGE_TEXTS[f"delivery_{state}"]["en"] for state in DeliveryState} == set(DeliveryState)
