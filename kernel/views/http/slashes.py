"""What to say of an address that has a slash too many or too few: the one that was meant."""

import re
from collections.abc import Callable
from urllib.parse import quote

from flask import Response, current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from kernel.formats.envelope import encode, envelope
from kernel.formats.texts import Language, text

_SLASHES = re.compile("/+")


def meant_address() -> str | None:
    """Say which address was meant, where the request's path exists with other slashes."""
    tidy = _SLASHES.sub("/", request.path).rstrip("/")
    others = (one for one in (tidy, f"{tidy}/") if one and one != request.path)
    found = next((one for one in others if _exists(one)), None)
    return None if found is None else f"there is {found}: mind the slashes"


def redirected_in_envelope(language: Language) -> Callable[[Response], Response]:
    """Return what gives a redirect to an address with its slash an envelope for a body."""

    def after(response: Response) -> Response:
        is_redirect = response.status_code == RequestRedirect.code
        if is_redirect and isinstance(request.routing_exception, RequestRedirect):
            _tell(response, language)
        return response

    return after


def leads_to_slash(language: Language) -> Callable[..., Response]:
    """Return the view of an address without its last slash: it leads on to the one that has it."""

    def lead_on(**_: str) -> Response:
        query = request.query_string.decode("latin-1")
        place = f"{quote(f'{request.script_root}{request.path}')}/{query and f'?{query}'}"
        response = Response(status=RequestRedirect.code, headers={"Location": place})
        _tell(response, language)
        return response

    return lead_on


def _tell(response: Response, language: Language) -> None:
    """Write into the body of a redirect which address is meant."""
    data = {"code": "not_found", "detail": meant_address()}
    response.set_data(encode(envelope(-1, text("not_found", language), data)))
    response.mimetype = "application/json"


def _exists(path: str) -> bool:
    adapter = current_app.create_url_adapter(request)
    try:
        # What takes any path below it says nothing of this one.
        return adapter is not None and "<path:" not in _rule(adapter.match(path, return_rule=True))
    except MethodNotAllowed:
        return True
    except HTTPException:  # a redirect is one, too: the other address is meant
        return False


def _rule(matched: tuple[object, object]) -> str:
    return str(matched[0])
