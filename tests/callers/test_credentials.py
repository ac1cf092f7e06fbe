"""Credentials: kept whole in a row, and shown nowhere else."""

import copy
import json
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from kernel.callers.credentials import Basic, ClientCertificate, Credentials, OAuth2

ALL = Credentials(
    basic=Basic("user-0", SecretStr("hidden-1")),
    bearer=SecretStr("hidden-2"),
    headers={"X-Api-Key": SecretStr("hidden-3")},
    oauth2=OAuth2(
        token_url="https://token-0.example",
        grant="password",
        client_id="client-0",
        client_secret=SecretStr("hidden-4"),
        user="user-0",
        password=SecretStr("hidden-5"),
        scope="scope-0",
        in_body=True,
    ),
    client_certificate=ClientCertificate("hidden-6", SecretStr("hidden-7")),
    sn_hmac=SecretStr("hidden-8"),
    secrets={"app_token": SecretStr("hidden-9")},
)
PARTS = (ALL, ALL.basic, ALL.oauth2, ALL.client_certificate)
secrets = st.text(min_size=1).map(SecretStr)
names = st.text(min_size=1, max_size=20)
anything = st.builds(
    Credentials,
    basic=st.none() | st.builds(Basic, names, secrets),
    bearer=st.none() | secrets,
    headers=st.dictionaries(names, secrets, max_size=3),
    client_certificate=st.none() | st.builds(ClientCertificate, names, secrets),
    sn_hmac=st.none() | secrets,
    secrets=st.dictionaries(names, secrets, max_size=3),
)


@given(anything)
def test_credentials_are_the_same_when_they_were_written_and_read(found: Credentials) -> None:
    assert Credentials.from_json(found.to_json()) == found


def test_every_kind_is_the_same_when_it_was_written_and_read() -> None:
    assert Credentials.from_json(ALL.to_json()) == ALL
    assert Credentials.from_json("{}") == Credentials()
    assert sum(f"hidden-{number}" in ALL.to_json() for number in range(1, 10)) == 9


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("show", [repr, str, format, lambda x: f"{[x]!r:>9} {x}"])
def test_no_value_is_shown_when_credentials_are_printed(part: object, show: object) -> None:
    shown = show(part)  # type: ignore[operator]
    assert "hidden" not in shown
    assert "-0" not in shown


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "store", [pickle.dumps, copy.deepcopy, json.dumps], ids=["pickle", "deepcopy", "json"]
)
def test_credentials_are_refused_when_they_are_to_be_pickled(part: object, store: object) -> None:
    with pytest.raises(TypeError) as refused:
        store(part)  # type: ignore[operator]
    assert "hidden" not in str(refused.value)


def test_names_and_kinds_are_told_when_credentials_are_described() -> None:
    assert ALL.describe() == {
        **dict.fromkeys(("basic", "bearer", "oauth2", "client_certificate", "sn_hmac"), True),
        "headers": ["X-Api-Key"],
        "secrets": ["app_token"],
    }
    assert not ALL.is_empty
    assert Credentials().is_empty
    assert "hidden" not in json.dumps(ALL.describe())


@pytest.mark.parametrize(
    "text",
    [
        *("", "hidden", "[]", '{"bearer": 1}', '{"headers": "hidden"}'),
        *('{"basic": {"user": "hidden"}}', '{"oauth2": {"grant": "hidden"}}'),
    ],
)
def test_text_is_refused_without_being_shown_when_it_holds_no_credentials(text: str) -> None:
    with pytest.raises(ValueError, match="no credentials") as refused:
        Credentials.from_json(text)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


UNKNOWN: dict[str, dict[str, Any]] = {
    "in credentials there is no bearer_token; did you mean bearer": {"bearer_token": "hush"},
    "no Bearer": {"Bearer": None},
    "in credentials.basic there is no username": {
        "basic": {"username": "hush", "password": "hush"}
    },
    "in credentials.oauth2 there is no client_sercet": {"oauth2": {"client_sercet": "hush"}},
    "in credentials.client_certificate there is no pem": {"client_certificate": {"pem": "hush"}},
    "in_body is true or false": {"oauth2": {"in_body": "no"}},
    "these are no credentials": {"basic": "hush"},
}


@pytest.mark.parametrize(("why", "given"), UNKNOWN.items(), ids=UNKNOWN)
def test_change_is_refused_without_its_values_when_a_member_is_unknown(
    why: str, given: dict[str, Any]
) -> None:
    plain = replace(ALL, bearer=None, headers={})
    with pytest.raises(ValueError, match=why) as refused:
        plain.changed(given, json.loads(plain.to_json()) | given)
    assert "hush" not in str(refused.value)


def test_row_is_read_when_it_holds_members_that_are_no_longer_known() -> None:
    kept = {"bearer": "t", "digest": "d", "basic": {"user": "u", "password": "p", "realm": "r"}}
    assert Credentials.from_json(json.dumps(kept)) == Credentials(basic=BASIC, bearer=TOKEN)


BASIC, TOKEN = Basic("u", SecretStr("p")), SecretStr("t")
CLIENT = OAuth2(
    token_url="https://a.example",
    grant="client_credentials",
    client_id="c",
    client_secret=SecretStr("s"),
)
WRONG = {
    "is not a header name": Credentials(headers={"X Y": TOKEN}),
    "set by kernel itself": Credentials(headers={"Webhook-Id": TOKEN}),
    "never sent": Credentials(headers={"Content-Length": TOKEN}),
    "visible ASCII on one line": Credentials(headers={"X-Y": SecretStr("a\r\nb")}),
    "the bearer token must be visible": Credentials(bearer=SecretStr("a\nb")),
    "basic and bearer would both": Credentials(basic=BASIC, bearer=TOKEN),
    "oauth2 and authorization would": Credentials(oauth2=CLIENT, headers={"authorization": TOKEN}),
    "has no colon": Credentials(basic=Basic("a:b", TOKEN)),
    "the password must have 1": Credentials(basic=Basic("a", SecretStr(""))),
    "name of a secret": Credentials(secrets={"a.b": TOKEN}),
    "the secret a must have 1": Credentials(secrets={"a": SecretStr("")}),
    "HMAC key must have 1": Credentials(sn_hmac=SecretStr("")),
    "the client's id": Credentials(oauth2=replace(CLIENT, client_id="")),
    "client's secret must have": Credentials(oauth2=replace(CLIENT, client_secret=SecretStr(""))),
    "needs a user and a password": Credentials(oauth2=replace(CLIENT, grant="password")),
    "and no other": Credentials(oauth2=replace(CLIENT, user="a", password=TOKEN)),
}


@pytest.mark.parametrize(("why", "wrong"), WRONG.items(), ids=WRONG)
def test_credentials_are_refused_when_they_could_not_arrive(why: str, wrong: Credentials) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        wrong.check()
    assert "a\nb" not in str(refused.value)


def test_credentials_are_accepted_when_each_kind_is_right() -> None:
    replace(ALL, bearer=None, oauth2=None).check()
    Credentials(bearer=TOKEN).check()
    Credentials(oauth2=CLIENT).check()
