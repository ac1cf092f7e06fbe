"""What pages say, in English and Chinese: a key has the same placeholders in both.

A file for each group of pages; what states are called stands in `kernel.db.states`. A key that is
made of parts (``state_`` and a state's name) begins with one of `MADE`.
"""

from kernel.db.states import DeliveryState, OrderState
from kernel.formats import durations
from kernel.formats.texts import Language, in_languages
from kernel.insight.conditions import texts as conditions
from kernel.insight.standing import texts as standing
from kernel.insight.trends import changes
from kernel.views.html.texts import (
    audit,
    bulk,
    failures,
    frame,
    insight,
    lists,
    orders,
    people,
    public,
    receivers,
    schedules,
    trends,
    work,
)

Texts = dict[str, dict[Language, str]]
STATES: Texts = {
    **{f"state_{one}": in_languages(one.traits.label) for one in OrderState},
    **{f"state_yours_{one}": in_languages(one.traits.public_label) for one in OrderState},
    **{f"delivery_{one}": in_languages(one.traits.label) for one in DeliveryState},
}
GROUPS = (
    *(STATES, frame.TEXTS, orders.TEXTS, insight.TEXTS, receivers.TEXTS, people.TEXTS),
    *(audit.TEXTS, bulk.TEXTS, public.TEXTS, schedules.TEXTS, conditions.TEXTS, trends.TEXTS),
    *(durations.TEXTS, failures.TEXTS, changes.TEXTS, standing.TEXTS, lists.TEXTS),
    work.TEXTS,
)
TEXTS: Texts = {key: said for group in GROUPS for key, said in group.items()}
# Beginnings of keys that templates put together.
MADE = (
    *("error_state_", "told_over_"),
    *("state_", "delivery_", "done_", "theme_", "phase_", "event_", "field_"),
    *("chart_", "figures_", "breaker_", "kind_", "keystate_", "span_", "died_", "login_", "term_"),
    *("role_", "needs_", "step_", "condition_", "mend_", "cause_", "expiry_", "paused_"),
    *("severity_", "bulk_", "of_", "mark_", "trend_", "part_", "how_", "counter_", "window_"),
    *("why_", "note_", "reason_", "doing_", "hangs_", "pending_by_", "pause_"),
)
