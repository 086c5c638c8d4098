"""Tokens of forms."""

from __future__ import annotations

import stat

import pytest
from flask.testing import FlaskClient
from support.filled_store import add_ranked, reread

from pt4al_backend.store.store import Store
from pt4al_backend.web import csrf
from pt4al_backend.web.context import context
from pt4al_backend.web.refusals import RefusedError


@pytest.mark.parametrize("token", ["", "forged", None])
def test_a_form_without_our_token_changes_nothing(client: FlaskClient, store: Store, token: str | None) -> None:
    project = add_ranked(store)
    fields = {} if token is None else {"token": token}
    answer = client.post(f"/dashboard/{project.id}/pause", data=fields)
    assert answer.status_code == 403 and "reload it" in answer.get_data(as_text=True)
    assert not reread(store, project).paused


def test_a_token_survives_a_restart_and_grows_old(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    token = csrf.token()
    key = context().settings.data_dir / csrf.KEY_FILE
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    csrf.require(token)
    monkeypatch.setattr(csrf, "VALID_FOR", -1)
    with pytest.raises(RefusedError, match="out of date"):
        csrf.require(token)


def test_the_key_of_another_backend_is_no_good(client: FlaskClient) -> None:
    token = csrf.token()
    (context().settings.data_dir / csrf.KEY_FILE).write_text("another")
    with pytest.raises(RefusedError):
        csrf.require(token)
