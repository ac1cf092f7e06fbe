"""What pages say, in English and Chinese: a key has the same placeholders in both.

A file for each group of pages; what states are called stands in `kernel.db.states`. A key that is
made of parts (``state_`` and a state's name) begins with one of `MADE`.
"""

from kernel.db.states import DeliveryState, OrderState
from kernel.formats.texts import Language, in_languages
from kernel.views.html.texts import frame, insight, orders, public

Texts = dict[str, dict[Language, str]]
STATES: Texts = {
    **{f"state_{one}": in_languages(one.traits.label) for one in OrderState},
    **{f"state_yours_{one}": in_languages(one.traits.public_label) for one in OrderState},
    **{f"delivery_{one}": in_languages(one.traits.label) for one in DeliveryState},
}
GROUPS = (STATES, frame.TEXTS, orders.TEXTS, insight.TEXTS, public.TEXTS)
TEXTS: Texts = {key: said for group in GROUPS for key, said in group.items()}
# Beginnings of keys that templates put together.
MADE = (
    *("state_", "delivery_", "done_", "theme_", "phase_", "event_", "field_"),
    *("chart_", "figures_", "breaker_", "kind_", "keystate_", "span_", "died_"),
)
