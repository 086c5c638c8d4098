"""Refusals are logged on the console, without secrets and without flooding it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from support.filled_store import CREATED, webhook

from pt4al_backend.web import refusal_log

TOKEN = "t0p-s3cret"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of an empty log of refusals."""
    now = [1000.0]
    monkeypatch.setattr(refusal_log, "_kinds", {})
    monkeypatch.setattr(refusal_log, "clock", lambda: now[0])
    return now


def refused(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == refusal_log.__name__]


def test_every_refusal_is_logged(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    boxes = (
        '<View><Image name="i" value="$i"/><RectangleLabels name="b&#10;x" toName="i"><Label value="x"/>'
        "</RectangleLabels></View>"
    )
    setup = {"project": f"12.{CREATED}", "schema": boxes, "hostname": "http://ls", "access_token": TOKEN}
    assert client.post("/setup", json=setup).status_code == 422
    assert client.post("/predict", json={"project": "12"}).status_code == 400
    assert client.post("/webhook", data=b"{", content_type="application/json").status_code == 400
    assert client.post("/webhook", json=webhook("PROJECT_UPDATED", 99, label_config="<View/>")).status_code < 300
    assert [line[: line.index(":")] for line in refused(caplog)] == [
        "refused POST /setup with 422",
        "refused POST /predict with 400",
        "refused POST /webhook with 400",
        "refused POST /webhook with 200",
    ]
    assert "does not learn from RectangleLabels" in refused(caplog)[0]
    assert TOKEN not in caplog.text and all(line.isprintable() for line in refused(caplog))


def test_passwords_that_are_wrong(start: Callable[..., FlaskClient], caplog: pytest.LogCaptureFixture) -> None:
    guarded = start(basic_auth_user="me", basic_auth_pass="pa55")
    assert guarded.post("/setup", json={}, auth=("me", "wr0ng")).status_code == 401
    (line,) = refused(caplog)
    assert "password" in line and "wr0ng" not in caplog.text and "pa55" not in caplog.text


def test_a_flood_is_counted_not_logged(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    for _ in range(1000):
        client.post("/predict", json={})
    assert len(refused(caplog)) == refusal_log.LINES
    client.post("/setup", json={})
    assert len(refused(caplog)) == refusal_log.LINES + 1, "others are told of all the same"
    clock[0] += refusal_log.WINDOW
    client.post("/predict", json={})
    assert "(995 more like it were not logged.)" in refused(caplog)[-1]
