"""The provider's program: python -m tests.support.oidc_provider.server PORT ISSUER REDIRECT_URI."""

import logging
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, OAuth2Error
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from authlib.oidc.core.models import AuthorizationCodeMixin
from flask import Flask, Response, jsonify, request
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

from tests.support.oidc_provider import CLIENT, PEOPLE, SECRET
from tests.support.oidc_provider.lies import changed_claims, changed_token, new_key

FORM = """<!doctype html><html lang="en"><title>Provider</title><link rel="icon" href="data:,">
<h1>Who are you?</h1><form method="post"><label>Name <input name="name"></label>
<button>Go on</button><button name="refuse" value="1">Cancel</button></form></html>"""


@dataclass
class State:
    """What the provider holds, and what a test has told it."""

    issuer: str
    redirect_uri: str
    lie: str = ""
    slow: float = 0.0
    keys: list[RSAKey] = field(default_factory=lambda: [new_key()])
    codes: dict[str, "Code"] = field(default_factory=dict)
    # Whose access token it is.
    tokens: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@dataclass
class Client(ClientMixin):
    """The one client that is registered here."""

    redirect_uri: str
    id_token_signed_response_alg: str = "RS256"

    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in ("client_secret_basic", "client_secret_post")

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class Code(AuthorizationCodeMixin):
    """A code that was given out."""

    code: str
    name: str
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> None:
        return None

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class IdTokens(OpenIDCode):
    """Makes id_tokens, true ones unless told to lie."""

    def __init__(self, state: State) -> None:
        super().__init__(require_nonce=True)
        self.state = state

    def exists_nonce(self, nonce: str, asked: object) -> bool:
        return any(one.nonce == nonce for one in self.state.codes.values())

    def resolve_client_private_key(self, client: Client) -> RSAKey:
        return self.state.keys[-1]

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        return {"iss": self.state.issuer, "aud": [CLIENT]}

    def get_encode_header(self, client: Client) -> dict[str, Any]:
        return {"alg": "RS256", "kid": self.state.keys[-1].kid}

    def generate_user_info(self, user: str, scope: str) -> UserInfo:
        told = {name: value for name, value in PEOPLE[user].items() if name != "in_userinfo"}
        return UserInfo(sub=f"sub-{user}", preferred_username=user, **told)

    def encode_id_token(self, token: dict[str, Any], asked: Any) -> str:
        self.state.tokens[token["access_token"]] = asked.user
        true = super().encode_id_token(token, asked)
        if not self.state.lie:
            return str(true)
        key = self.state.keys[-1]
        claims = changed_claims(self.state.lie, jwt.decode(true, key).claims)
        return changed_token(self.state.lie, claims, key)


def grant_of(state: State) -> type[AuthorizationCodeGrant]:
    """Return authlib's grant over the codes of ``state``: each is good once."""

    class Grant(AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")

        def save_authorization_code(self, code: str, asked: Any) -> None:
            sent, data = asked.payload, asked.payload.data
            challenge = (data["code_challenge"], data["code_challenge_method"])
            found = (code, asked.user, sent.redirect_uri, asked.scope, data["nonce"], *challenge)
            state.codes[code] = Code(*found)

        def query_authorization_code(self, code: str, client: Client) -> Code | None:
            return state.codes.get(code)

        def delete_authorization_code(self, authorization_code: Code) -> None:
            del state.codes[authorization_code.code]

        def authenticate_user(self, authorization_code: Code) -> str:
            return authorization_code.name

    return Grant


def metadata(state: State) -> dict[str, Any]:
    """Return what the provider says of itself."""
    issuer = state.issuer
    honest = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize?theme=plain",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/jwks",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
    }
    lies: dict[str, dict[str, Any]] = {
        "metadata_issuer": {"issuer": "https://evil.example"},
        "metadata_plain": {"token_endpoint": "http://sso.example/token"},
        "metadata_script": {"authorization_endpoint": "javascript:alert(1)"},
        "metadata_hs256": {"id_token_signing_alg_values_supported": ["HS256", "none"]},
        "post_only": {"token_endpoint_auth_methods_supported": ["client_secret_post"]},
    }
    return honest | lies.get(state.lie, {})


def create_app(state: State) -> Flask:
    """Return the provider."""
    app = Flask("provider")
    server = AuthorizationServer(app, lambda _: Client(state.redirect_uri), lambda *_: None)
    server.register_grant(grant_of(state), [IdTokens(state), CodeChallenge(required=True)])
    base = urlsplit(state.issuer).path

    @app.before_request
    def note() -> Response | None:
        path = request.path.removeprefix(base)
        if path == "/told":
            return None
        state.asked.append(path)
        time.sleep(state.slow)
        if state.lie == "broken":
            return Response("<h1>Bad Gateway</h1>", 502)
        if state.lie == "elsewhere":
            return Response(status=302, headers={"Location": "http://169.254.169.254/"})
        return Response("<html>") if state.lie == "html" else None

    @app.get(f"{base}/.well-known/openid-configuration")
    def discovery() -> Response:
        return jsonify(metadata(state))

    @app.get(f"{base}/jwks")
    def jwks() -> Response:
        odd: list[Any] = [{"kty": "PQ", "kid": "odd"}, {"kty": "RSA", "kid": "broken"}, "text"]
        return jsonify({"keys": [*odd, *KeySet(list(state.keys)).as_dict(private=False)["keys"]]})

    @app.route(f"{base}/authorize", methods=["GET", "POST"])
    def authorize() -> Any:
        try:
            grant = server.get_consent_grant()
        except OAuth2Error as error:
            return Response(f"{error.error}: {error.description}", 400)
        if request.method == "GET":
            return FORM
        name = "" if request.form.get("refuse") else request.form["name"]
        return server.create_authorization_response(grant_user=name or None, grant=grant)

    @app.post(f"{base}/token")
    def token() -> Any:
        return server.create_token_response()

    @app.get(f"{base}/userinfo")
    def userinfo() -> Response:
        name = state.tokens[request.headers["Authorization"].removeprefix("Bearer ")]
        return jsonify({"sub": f"sub-{name}", **PEOPLE[name].get("in_userinfo", {})})

    @app.route(f"{base}/told", methods=["GET", "POST"])
    def told() -> Response:
        if request.method == "GET":
            return jsonify(state.asked)
        if request.json.pop("rotate", False):
            state.keys[:] = [new_key()]
        for name, value in request.json.items():
            setattr(state, name, value)
        return jsonify({})

    return app


def main(port: str, issuer: str, redirect_uri: str) -> None:
    """Serve until killed."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    os.environ.pop("AUTHLIB_INSECURE_TRANSPORT", None)
    app = create_app(State(issuer, redirect_uri))
    make_server("127.0.0.1", int(port), app, threaded=True).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
