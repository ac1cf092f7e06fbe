"""What each system's answers mean: the tables of what to try again, to give up, and to take."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from kernel.delivery.profiles import names
from kernel.formats.shapes.answer import judge, wait_hint
from tests.delivery.profiles.cases import shape_of

HTML = "<!DOCTYPE html><html><body>Sign in</body></html>"
INVALID = (
    '{"code":100,"message":"Error: Invalid stimulus: \'ev_resolve\' on the object R-000123'
    " in state 'STATE'\"}"
)
ITOP_OBJECT = '{"UserRequest::1":{"code":0,"message":"updated","key":"1"}}'
# For each profile: verdict (None: the status decides, and that is to try again), status, body.
Row = tuple[str | None, int, str]
JIRA: tuple[Row, ...] = (
    ("delivered", 201, '{"id":"10000"}'),
    ("retry", 201, HTML),
    ("retry", 200, HTML),
    *(("retry", status, '{"errorMessages":["again"]}') for status in (409, 429, 500, 502, 503)),
    *(("give_up", status, "{}") for status in (400, 401, 403, 404, 413, 422)),
)
FORGE: tuple[Row, ...] = (
    ("delivered", 201, '{"id":302,"body":"x"}'),
    ("retry", 201, HTML),
    ("retry", 429, "Retry later"),
    ("retry", 502, HTML),
    *(("give_up", status, '{"message":"no"}') for status in (400, 401, 403, 404, 412, 423)),
)
GLPI: tuple[Row, ...] = (
    ("delivered", 200, '{"id":15,"href":"/x"}'),
    ("delivered", 201, '{"id":15,"href":"/x"}'),
    ("retry", 200, HTML),
    ("retry", 500, '{"status":"ERROR","title":"Failed"}'),
    ("retry", 502, ""),
    ("retry", 503, ""),
    (None, 401, '{"status":"ERROR_UNAUTHENTICATED"}'),
    ("retry", 400, '{"status":"ERROR_INVALID_PARAMETER","title":"Invalid OAuth token"}'),
    *(("give_up", status, '{"title":"no"}') for status in (400, 403, 404)),
)
CLOUDEVENTS: tuple[Row, ...] = (
    *(("delivered", status, "") for status in (200, 201, 202, 204)),
    ("retry", 200, HTML),
    ("delivered", 200, '{"data":{"note":"<!DOCTYPE html><html><b>taken</b></html>"}}'),
    ("delivered", 200, "<taken/>"),
    *(("retry", status, "") for status in (408, 429, 500, 503)),
    *(("give_up", status, "") for status in (400, 410, 415)),
    (None, 401, ""),
    (None, 307, ""),
)
TABLE: Mapping[str, tuple[Row, ...]] = {
    "servicenow-table": (
        ("delivered", 200, '{"result":{"sys_id":"9d38","number":"INC1","state":"6"}}'),
        ("retry", 200, HTML),
        ("retry", 200, '{"result":{}}'),
        ("retry", 202, ""),
        *(("give_up", status, '{"error":{"message":"no"}}') for status in (400, 403, 404)),
        *(("retry", status, '{"error":{"message":"x"}}') for status in (429, 500, 502, 503)),
        (None, 401, '{"error":{"message":"User Not Authenticated"}}'),
    ),
    "servicenow-scripted": (
        ("delivered", 200, '{"result":{"done":true}}'),
        ("delivered", 201, '{"import_set":"I1","result":[{"status":"inserted"}]}'),
        ("delivered", 202, '{"result":{"taken":true}}'),
        ("retry", 202, ""),
        ("delivered", 204, ""),
        ("give_up", 201, '{"result":[{"status":"error","error_message":"No number"}]}'),
        (
            *("give_up", 201),
            '{"result":[{"status":"updated"},{"status":"error","error_message":"No number"}]}',
        ),
        ("retry", 200, HTML),
        *(("give_up", status, "{}") for status in (400, 403, 404)),
        *(("retry", status, "{}") for status in (429, 500, 502, 503)),
    ),
    "jira-cloud-comment": JIRA,
    "jira-cloud-transition": (*JIRA, ("delivered", 204, "")),
    "jira-dc-comment": (*JIRA, ("retry", 204, "")),
    "jira-dc-transition": (*JIRA, ("delivered", 204, "")),
    "jsm-comment": JIRA,
    "jira-automation": (
        ("delivered", 200, ""),
        ("delivered", 200, '{"said":"<html>"}'),
        ("retry", 200, HTML),
        *(("retry", status, "") for status in (409, 429, 500)),
        *(("give_up", status, "") for status in (400, 401, 403, 404)),
    ),
    "zammad": (
        ("delivered", 200, '{"id":1,"number":"22001"}'),
        ("retry", 200, HTML),
        ("retry", 422, '{"error":"deadlock"}'),
        ("retry", 500, HTML),
        *(("give_up", status, '{"error":"no"}') for status in (401, 403, 404)),
    ),
    "itop": (
        ("delivered", 200, '{"code":0,"message":"","objects":' + ITOP_OBJECT + "}"),
        ("retry", 200, '{"code":0,"message":"","objects":null}'),
        ("retry", 200, '{"code":0,"message":""}'),
        ("retry", 200, HTML),
        ("retry", 200, ""),
        ("done", 200, INVALID.replace("STATE", "resolved")),
        ("give_up", 200, INVALID.replace("STATE", "new")),
        *(("give_up", 200, f'{{"code":{code},"message":"no"}}') for code in range(1, 14)),
        ("give_up", 200, '{"code":100,"message":"Error: No item found with criteria: ..."}'),
        ("give_up", 200, '{"code":100,"message":"Error: Several items found (2) ..."}'),
        ("give_up", 200, '{"code":100,"message":"Error: Missing mandatory attribute(s) ..."}'),
        ("retry", 200, '{"code":100,"message":"mysql has gone away"}'),
        ("retry", 200, '{"code":100,"message":"Something else"}'),
        ("give_up", 307, ""),
        ("retry", 500, HTML),
        ("retry", 503, ""),
    ),
    "glpi-followup": GLPI,
    "glpi-solution": GLPI,
    "znuny": (
        ("delivered", 200, '{"TicketID":"1","ArticleID":"7"}'),
        ("retry", 200, '{"TicketID":"1"}'),
        ("retry", 200, HTML),
        (
            "give_up",
            200,
            '{"Error":{"ErrorCode":"TicketUpdate.AccessDenied","ErrorMessage":"no"}}',
        ),
        ("give_up", 413, ""),
        ("give_up", 500, '{"faultcode":"Server","faultstring":"Error while decoding JSON"}'),
        ("retry", 500, '{"faultcode":"Server","faultstring":"no database"}'),
        ("retry", 503, HTML),
    ),
    "redmine": (
        ("delivered", 204, ""),
        ("delivered", 200, ""),
        ("retry", 200, HTML),
        *(("give_up", status, "") for status in (401, 403, 404)),
        ("give_up", 422, '{"errors":["Status is invalid"]}'),
        ("give_up", 422, ""),
        ("retry", 422, '{"errors":[]}'),
        ("retry", 500, HTML),
    ),
    "freshservice-note": (
        ("delivered", 201, '{"conversation":{"id":5}}'),
        ("delivered", 201, '{"id":5}'),
        ("retry", 200, HTML),
        *(("give_up", status, '{"description":"no"}') for status in (400, 401, 403, 404)),
        *(("retry", status, "") for status in (429, 500, 503)),
    ),
    "zendesk": (
        ("delivered", 200, '{"ticket":{"id":35},"audit":{}}'),
        ("retry", 200, HTML),
        *(("retry", status, "") for status in (409, 429, 500, 503)),
        *(("give_up", status, '{"error":"x"}') for status in (401, 403, 404)),
        ("give_up", 422, '{"error":"RecordInvalid","description":"Ticket is closed"}'),
    ),
    "gitlab-note": (*FORGE, ("retry", 500, "")),
    "gitea-note": (*FORGE, ("retry", 500, '{"message":""}')),
    "slack": (
        ("delivered", 200, "ok"),
        ("retry", 200, HTML),
        ("give_up", 200, "no_service"),
        ("give_up", 500, "no_team"),
        ("retry", 500, "rollup_error"),
        ("retry", 400, "rollup_error"),
        ("retry", 500, ""),
        ("retry", 429, "rate_limited"),
        ("give_up", 400, "invalid_payload"),
        ("give_up", 403, "action_prohibited"),
        ("give_up", 404, "channel_not_found"),
        ("give_up", 410, "channel_is_archived"),
        ("give_up", 404, "a word of tomorrow"),
    ),
    "teams": (
        ("delivered", 202, ""),
        ("retry", 200, "Microsoft Teams endpoint returned HTTP error 429"),
        *(("retry", status, "") for status in (429, 500, 503)),
        *(("give_up", status, "") for status in (400, 401, 403, 404)),
    ),
    "cloudevents-binary": CLOUDEVENTS,
    "cloudevents-structured": CLOUDEVENTS,
}
FEW = {
    ("servicenow-table", 500): 5,
    ("zammad", 422): 3,
    ("glpi-followup", 500): 3,
    ("glpi-solution", 500): 3,
    ("gitea-note", 500): 3,
    ("gitlab-note", 500): None,
    ("glpi-followup", 503): None,
    ("zendesk", 202): 4,
}


@pytest.mark.parametrize(
    ("name", "verdict", "status", "body"),
    [(name, *row) for name, rows in TABLE.items() for row in rows],
    ids=[f"{name}-{at}" for name, rows in TABLE.items() for at in range(len(rows))],
)
def test_answer_is_judged(name: str, verdict: str | None, status: int, body: str) -> None:
    judged = judge(shape_of(name), status, "application/json", body.encode())
    assert (judged.verdict, judged.saw[:10]) == (verdict, f"status {status}")


def test_every_profile_has_a_table() -> None:
    assert sorted(TABLE) == list(names())


@pytest.mark.parametrize("name", names())
def test_nothing_but_what_is_known_to_be_a_success_is_one(name: str) -> None:
    """A proxy's page with any status, and an empty 200, are no note in the ticket."""
    delivered = {
        status
        for status in range(200, 300)
        if judge(shape_of(name), status, "text/html", HTML.encode()).verdict == "delivered"
    }
    known = {"jira-cloud-transition": {204}, "jira-dc-transition": {204}, "redmine": {204},
             "servicenow-scripted": {204}, "teams": {202}}  # fmt: skip
    assert delivered == known.get(name, set())


def test_teams_is_waited_for_when_it_says_within_a_200_that_it_is_too_busy() -> None:
    said = b"Microsoft Teams endpoint returned HTTP error 429 with ContextId ..."
    judged = judge(shape_of("teams"), 200, "text/plain", said)
    assert (judged.verdict, judged.tries) == ("retry", None)


def test_collision_of_redmine_is_tried_five_times() -> None:
    judged = judge(shape_of("redmine"), 422, "application/json", b'{"errors":[]}')
    assert (judged.verdict, judged.tries) == ("retry", 5)


@pytest.mark.parametrize(("name", "status"), FEW)
def test_what_is_permanent_as_a_rule_is_tried_a_few_times(name: str, status: int) -> None:
    judged = judge(shape_of(name), status, "application/json", b'{"message":"x"}')
    assert (judged.verdict, judged.tries) == ("retry", FEW[name, status])


def test_what_the_system_says_is_told() -> None:
    body = b'{"code":100,"message":"Error: No item found with criteria: ref = 7"}'
    judged = judge(shape_of("itop"), 200, "application/json", body)
    assert judged.saw == (
        'status 200; code = 100; message = "Error: No item found with criteria: ref = 7"'
    )
    told = "Data Policy Exception: close_code is mandatory"
    body = b'{"error":{"message":"Operation Failed","detail":"%s"}}' % told.encode()
    judged = judge(shape_of("servicenow-table"), 403, "application/json", body)
    assert judged.saw == f"status 403; {told}"


@pytest.mark.parametrize(
    ("name", "header", "value", "seconds"),
    [
        ("servicenow-table", "x-ratelimit-reset", "1700000090", "90"),
        ("jira-cloud-comment", "x-ratelimit-reset", "2023-11-14T22:14:20Z", "60"),
        ("zendesk", "ratelimit-reset", "42", "42"),
        ("gitlab-note", "ratelimit-reset", "1700000030", "30"),
        ("zendesk", "ratelimit-reset", "soon", None),
        ("slack", "x-ratelimit-reset", "1700000090", None),
    ],
)
def test_headers_say_when_to_come_back(
    name: str, header: str, value: str, seconds: str | None
) -> None:
    now = datetime.fromtimestamp(1_700_000_000, UTC)
    assert wait_hint(shape_of(name), {header: value}, now) == seconds
