"""A handler's own words for the person who ordered: a title of the order, and what a result means.

Words are a text, or one for each language, with names in braces: of arguments in a title, of the
result's members in what a result means. What would not be text or a number makes no words.
"""

from collections.abc import Mapping
from decimal import Decimal
from string import Formatter
from typing import Any

LANGUAGES = ("en", "zh")
Said = str | Mapping[str, str]
# The most characters of a value.
MAX_VALUE = 200
WORDS = 'a text such as "New project {name}", or one for each of "en" and "zh"'


def names_in(said: Any) -> set[str]:
    """Return the names in braces. Raises ValueError, in words, for what are no words."""
    texts = list(said.values()) if isinstance(said, Mapping) else [said]
    if isinstance(said, Mapping) and set(said) != set(LANGUAGES):
        raise ValueError(f"it is {WORDS}")
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(f"it is {WORDS}")
    return {name for text in texts for _, name in _parts(text) if name is not None}


def filled(said: Said, language: str, values: Mapping[str, Any]) -> str | None:
    """Return the words with their values; None where one is missing, or no text and no number."""
    text = said if isinstance(said, str) else said[language]
    made = []
    for plain, name in _parts(text):
        made.append(plain)
        if name is not None:
            value = values.get(name)
            if not isinstance(value, str | int | float | Decimal) or isinstance(value, bool):
                return None
            written = str(value)
            made.append(written if len(written) <= MAX_VALUE else f"{written[:MAX_VALUE]}…")
    return "".join(made)


def _parts(text: str) -> list[tuple[str, str | None]]:
    """Return the plain pieces, each with the name behind it. Raises ValueError."""
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{error} in {text!r}; {{{{ and }}}} stand for braces") from None
    for _, name, form, conversion in parsed:
        if name is not None and (form or conversion or not name.isidentifier()):
            raise ValueError(f"braces hold a name and nothing else, not {{{name}}} in {text!r}")
    return [(plain, name) for plain, name, _, _ in parsed]
