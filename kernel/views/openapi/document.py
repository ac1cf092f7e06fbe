"""The API document: OpenAPI 3.1, made from the registered handlers' models. It grows with them.

``callbacks`` says what arrives at an order's callback_url, ``webhooks`` says the same for tools
that read only those.
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from kernel.handlers import Handler
from kernel.orders.batches.read import BatchRequest
from kernel.views.openapi.answers import ANSWERS
from kernel.views.openapi.batches import Batch
from kernel.views.openapi.bulk import BULK_ANSWERS
from kernel.views.openapi.events import EVENT_ANSWERS
from kernel.views.openapi.lists import LIST_ANSWERS, parameters
from kernel.views.openapi.operating.failures import FAILURE_ANSWERS
from kernel.views.openapi.operating.trends import TREND_ANSWERS
from kernel.views.openapi.operations import operations, outcome_post
from kernel.views.openapi.parts import SCHEMAS, content, ref, responses, share_answers
from kernel.views.openapi.tags.models import models_of, used
from kernel.views.openapi.tags.orders import (
    ANY_ORDER,
    examples_of,
    named_orders,
    orders_of,
    with_results,
)
from kernel.views.openapi.workers import WORKER_ANSWERS
from kernel.views.operating.notices import NewNotice
from kernel.views.operating.workers import HostRequest
from kernel.views.orders.bulk import BulkRequest, ReplayRequest
from kernel.views.orders.events import EventRequest
from kernel.views.orders.queries import ListQuery
from kernel.views.pauses import PauseRequest
from kernel.views.receivers import NewReceiver, ReceiverChange

TEMPLATE = SCHEMAS + "{model}"


def document(handlers: Mapping[str, Handler], server: str = "/") -> dict[str, Any]:
    """Return the API document for ``handlers``, served below ``server``."""
    own = _answer_schemas() | _request_schemas()
    models = models_of(handlers, {*own, ANY_ORDER})
    orders = orders_of(handlers, models)
    schemas = own | {name: with_results(own[name], models) for name in ("Order", "Outcome")}
    schemas |= models.schemas | named_orders(orders)
    body = content(ref(ANY_ORDER), examples=dict(examples_of(handlers, orders, schemas)))
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "kernel",
            "summary": "Work orders in, signed callbacks out",
            "version": version("kernel-workorders"),
        },
        "servers": [{"url": server}],
        "security": [{"bearer": []}, {"basic": []}],
        "paths": operations(parameters(ListQuery), body),
        "webhooks": {"orderFinished": outcome_post()},
        "components": {
            "schemas": schemas,
            "responses": responses(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "key as password"},
            },
        },
    }
    share_answers(made)
    made["components"]["schemas"] = used(made)
    return made


def _answer_schemas() -> dict[str, Any]:
    lists = (*LIST_ANSWERS, *TREND_ANSWERS, *WORKER_ANSWERS, *FAILURE_ANSWERS)
    every = (*ANSWERS, *BULK_ANSWERS, *EVENT_ANSWERS, *lists, Batch)
    wanted = [(one.__name__, "serialization", TypeAdapter(one)) for one in every]
    _, found = TypeAdapter.json_schemas(wanted, ref_template=TEMPLATE)  # type: ignore[arg-type]
    defs: dict[str, Any] = found["$defs"]
    return defs


def _request_schemas() -> dict[str, Any]:
    models: list[type[BaseModel]] = [
        *(
            BatchRequest,
            BulkRequest,
            EventRequest,
            HostRequest,
            ReplayRequest,
            PauseRequest,
            NewNotice,
            NewReceiver,
            ReceiverChange,
        )
    ]
    _, found = models_json_schema([(one, "validation") for one in models], ref_template=TEMPLATE)
    defs: dict[str, Any] = found["$defs"]
    return defs
