from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable
from urllib.parse import urlsplit

from support.served import Backend

TWO_IMAGES = '<View><Image name="a" value="$a"/><Image name="b" value="$b"/></View>'

REASON = (
    "PT4AL learns from one Image tag per task, but the label config has 2: make a separate project for one of them. "
    "This project can stay as it is."
)


def test_a_reason_phrase_reaches_the_client_word_for_word(start_backend: Callable[..., Backend]) -> None:
    """Fact 18: Label Studio shows only the status line on the form."""
    backend = start_backend(None, label_studio_url="http://127.0.0.1:9", label_studio_api_key="key", command="web")
    body = {"project": "1.1700000000", "schema": TWO_IMAGES, "hostname": "", "access_token": ""}
    with contextlib.closing(http.client.HTTPConnection(urlsplit(backend.url).netloc, timeout=10)) as connection:
        for _ in range(2):  # on one connection: it is kept alive
            connection.request("POST", "/setup", json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            assert (response.status, response.reason) == (422, REASON)
