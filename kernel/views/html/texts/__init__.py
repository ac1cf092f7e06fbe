"""What pages say, in English and Chinese: a key has the same placeholders in both.

A file for each group of pages. A key that is made of parts (``state_`` and a state's name) begins
with one of `MADE`.
"""

from kernel.formats.texts import Language
from kernel.views.html.texts import frame, insight, orders, public

Texts = dict[str, dict[Language, str]]
GROUPS = (frame.TEXTS, orders.TEXTS, insight.TEXTS, public.TEXTS)
TEXTS: Texts = {key: said for group in GROUPS for key, said in group.items()}
# Beginnings of keys that templates put together.
MADE = (
    *("state_", "delivery_", "done_", "theme_", "phase_", "event_", "field_"),
    *("chart_", "figures_", "breaker_", "kind_", "keystate_", "span_"),
)
