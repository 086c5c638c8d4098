"""A real Label Studio for the tests, and the few things that a person does in it."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from support.processes import free_port, running, wait_ready
from support.studio_database import migrated_database, program, variables

USERNAME = "annotator@example.com"
PASSWORD = "correct horse battery"
LEGACY_TOKEN = "0123456789abcdef0123456789abcdef01234567"

Result = dict[str, Any]
"""One entry of an annotation's or a prediction's `result`."""


class StudioError(AssertionError):
    """Label Studio answered with an error; `status` is its HTTP status, `body` its text."""

    def __init__(self, request: str, response: requests.Response) -> None:
        super().__init__(f"{request} answered {response.status_code}: {response.text[:2000]}")
        self.status = response.status_code
        self.body = response.text


@dataclass(frozen=True)
class Studio:
    """One user of a running Label Studio.

    `session` is logged in with cookies, as a browser is; `token` is the user's legacy token,
    which Label Studio refuses when it was started with `legacy_tokens=False`.
    """

    url: str
    token: str
    username: str
    password: str
    log: Path
    session: requests.Session = field(repr=False, compare=False)
    _closing: ExitStack = field(repr=False, compare=False)

    @classmethod
    @contextmanager
    def start(cls, *, legacy_tokens: bool = True, **environment: str) -> Iterator[Studio]:
        """Run a Label Studio of its own; `environment` adds to (or overrides) its variables."""
        with tempfile.TemporaryDirectory(prefix="pt4al-label-studio-") as folder, ExitStack() as closing:
            data_dir = Path(folder)
            log = data_dir / "label-studio.log"
            shutil.copyfile(migrated_database(), data_dir / "label_studio.sqlite3")
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            command = [program(), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
            # fact 20
            command += ["--username", USERNAME, "--password", PASSWORD, "--user-token", LEGACY_TOKEN]
            command += ["--enable-legacy-api-token"] if legacy_tokens else []
            process = closing.enter_context(
                running(command, environment=variables(data_dir) | environment, log=log, cwd=data_dir)
            )
            wait_ready(process, lambda: _answers(url), log=log, seconds=180)
            session = closing.enter_context(requests.Session())
            _submit_form(session, f"{url}/user/login/", email=USERNAME, password=PASSWORD)
            yield cls(url, LEGACY_TOKEN, USERNAME, PASSWORD, log, session, closing)

    def sign_up(self, username: str, password: str = PASSWORD) -> Studio:
        """Make another user, through the invitation link, and return it logged in."""
        invitation = self.api("GET", "/api/invite")["invite_url"]
        session = self._closing.enter_context(requests.Session())
        _submit_form(session, self.url + invitation, email=username, password=password)
        token = session.get(f"{self.url}/api/current-user/token").json()["token"]
        return Studio(self.url, token, username, password, self.log, session, self._closing)

    def api(self, method: str, path: str, **arguments: Any) -> Any:
        """Call the API as this user and return the decoded answer, None where there is no body.

        Where the documentation's path ends with a slash, Label Studio answers a path without one only after it has
        made a page that says that there is nothing, which takes half as long again.

        Raises `StudioError` for any status of 400 and above.
        """
        response = self.session.request(method, self.url + path, timeout=60, **arguments)
        if not response.ok:
            raise StudioError(f"{method} {path}", response)
        return response.json() if response.content else None

    def personal_access_token(self) -> str:
        """Make a personal access token (fact 19), in place of the one this user may have had."""
        for old in self.api("GET", "/api/token/"):
            self.api("POST", "/api/token/blacklist/", json={"refresh": old["token"]})
        return str(self.api("POST", "/api/token/")["token"])

    def create_project(self, title: str, label_config: str, **fields: Any) -> int:
        """Make a project (titles need 3 characters) and return its id."""
        project = self.api("POST", "/api/projects/", json={"title": title, "label_config": label_config, **fields})
        return int(project["id"])

    def project(self, project: int) -> dict[str, Any]:
        return dict(self.api("GET", f"/api/projects/{project}/"))

    def import_images(self, project: int, images: Iterable[str | Mapping[str, Any]]) -> list[int]:
        """Import image addresses (http, data:, …), or whole tasks `{"data": …}`; return the task ids in order."""
        tasks = [{"data": {"image": image}} if isinstance(image, str) else dict(image) for image in images]
        answer = self.api("POST", f"/api/projects/{project}/import?return_task_ids=true", json=tasks)
        return list(answer["task_ids"])

    def upload_files(self, project: int, paths: Sequence[Path]) -> list[int]:
        """Upload image files as the import dialog does, and return the task ids in order."""
        with ExitStack() as opened:
            files = [(path.name, (path.name, opened.enter_context(path.open("rb")))) for path in paths]
            answer = self.api("POST", f"/api/projects/{project}/import?return_task_ids=true", files=files)
        return list(answer["task_ids"])

    def submit(self, task: int, results: Sequence[Result]) -> int:
        """Submit an answer to a task and return the annotation's id."""
        return int(self.api("POST", f"/api/tasks/{task}/annotations/", json={"result": list(results)})["id"])

    def annotate(self, task: int, choice: str) -> int:
        """Submit `choice` for a task and return the annotation's id."""
        return self.submit(task, [choices_result(choice)])

    def skip(self, task: int) -> int:
        """Press Skip on a task and return the cancelled annotation's id."""
        annotation = {"result": [], "was_cancelled": True}
        return int(self.api("POST", f"/api/tasks/{task}/annotations/", json=annotation)["id"])

    def next_task(self, project: int) -> dict[str, Any] | None:
        """What "Label All Tasks" shows next, or None when nothing is left to label."""
        try:
            return dict(self.api("GET", f"/api/projects/{project}/next/"))
        except StudioError as error:
            if error.status == 404:
                return None
            raise

    def connect_backend(
        self, project: int, url: str, *, title: str = "PT4AL", user: str = "", password: str = ""
    ) -> int:
        """Send what the form on the project's Model page sends, and return the backend's id."""
        form = {"project": str(project), "title": title, "url": url, "extra_params": "", "is_interactive": False}
        form |= {"auth_method": "NONE"}
        if user:
            form |= {"auth_method": "BASIC_AUTH", "basic_auth_user": user, "basic_auth_pass": password}
        return int(self.api("POST", "/api/ml/", json=form)["id"])

    def start_training(self, backend: int) -> None:
        """Press Start Training on a connected backend."""
        self.api("POST", f"/api/ml/{backend}/train", json={})


def choices_config(*labels: str) -> str:
    """The label config of a single-choice project with the control names `annotate` uses."""
    choices = "".join(f'<Choice value="{label}"/>' for label in labels)
    return f'<View><Image name="image" value="$image"/><Choices name="choice" toName="image">{choices}</Choices></View>'


def choices_result(*choices: str, control: str = "choice") -> Result:
    """What is submitted for an image of which `choices` were ticked."""
    return {"from_name": control, "to_name": "image", "type": "choices", "value": {"choices": list(choices)}}


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=2).ok
    except requests.RequestException:
        return False


def _submit_form(session: requests.Session, url: str, **fields: str) -> None:
    """Fill in one of Label Studio's own pages; it answers with a redirect when it is content."""
    page = session.get(url, timeout=60)
    csrf = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert csrf, f"no form at {url}: {page.status_code}"
    form = {"csrfmiddlewaretoken": csrf[1], **fields}
    answer = session.post(url, data=form, headers={"Referer": url}, allow_redirects=False, timeout=60)
    if answer.status_code != 302:
        raise StudioError(f"POST {url}", answer)
