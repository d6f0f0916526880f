"""Where the documents' OAuth recipes get their tokens: what Microsoft's and Google's token services
answer, to the real msal and google-auth. Those services cannot be had in a test; anything else that
would leave this computer is refused.
"""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import requests

ACCOUNT = "ada@example.org"
TOKEN = "ya29.of-the-documents"  # what the services give out; the servers take it

_TENANT = "https://login.microsoftonline.com/example.org"
ANSWERS: dict[str, dict[str, Any]] = {
    f"{_TENANT}/v2.0/.well-known/openid-configuration": {
        "issuer": f"{_TENANT}/v2.0",
        "authorization_endpoint": f"{_TENANT}/oauth2/v2.0/authorize",
        "token_endpoint": f"{_TENANT}/oauth2/v2.0/token",
        "device_authorization_endpoint": f"{_TENANT}/oauth2/v2.0/devicecode",
    },
    "https://login.microsoftonline.com/common/discovery/instance": {"metadata": []},
    f"{_TENANT}/oauth2/v2.0/token": {"token_type": "Bearer", "expires_in": 3599},
    "https://oauth2.googleapis.com/token": {"token_type": "Bearer", "expires_in": 3599},
}


def write_files(folder: Path) -> None:
    """What google-auth keeps of a user who has consented."""
    consent = {
        "type": "authorized_user",
        "client_id": "the-programs-own",
        "client_secret": "not so secret",
        "refresh_token": "of-ada",
    }
    (folder / "token.json").write_text(json.dumps(consent))


@contextmanager
def token_services() -> Iterator[list[str]]:
    """Instead of the network; yields the addresses that were asked. The first token of each service
    is one that was revoked meanwhile, so that the recipes have to renew it."""
    asked: list[str] = []
    given: dict[str, Iterator[str]] = {}

    def send(_: Any, request: Any, **kwargs: Any) -> requests.Response:
        address = request.url.partition("?")[0]
        asked.append(address)
        body = dict(ANSWERS[address])  # a KeyError: nothing else is asked anything
        if "token_type" in body:
            tokens = given.setdefault(
                urlsplit(address).netloc, itertools.chain(["revoked"], itertools.repeat(TOKEN))
            )
            body["access_token"] = next(tokens)
        response = requests.Response()
        response.status_code, response.url, response.request = 200, request.url, request
        response.headers["Content-Type"] = "application/json"
        response._content = json.dumps(body).encode()
        return response

    with mock.patch("requests.adapters.HTTPAdapter.send", send):
        yield asked
