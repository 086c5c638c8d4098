"""Opening the database, and its errors. For older and newer databases see `test_migrate.py`."""

import threading
from contextlib import closing

import pytest
from support.stored import state

from pt4al_backend.errors import DataGoneError, PT4ALError, StoreError
from pt4al_backend.store.database import MARK, Database
from pt4al_backend.store.store import Store


def test_whether_a_database_may_exist(tmp_path):
    assert not Database.exists(tmp_path)
    assert Database.exists(tmp_path, "postgresql+psycopg://host/name")
    Database(tmp_path).close()
    assert Database.exists(tmp_path)


def test_a_database_elsewhere_marks_its_data_directory(tmp_path):
    elsewhere = tmp_path / "elsewhere.db"
    with closing(Database(tmp_path / "data", f"sqlite:///{elsewhere}")) as database:
        database.require_usable()
        assert elsewhere.exists()
        (tmp_path / "data" / MARK).unlink()
        with pytest.raises(DataGoneError, match="was emptied, replaced or unmounted"):
            database.require_present()


def test_disk_errors_are_reported(tmp_path, monkeypatch):
    with closing(Database(tmp_path)) as database:
        database.require_usable()
        assert database.disk_trouble() == ""
        monkeypatch.setattr("pt4al_backend.store.database.trouble_with", lambda directory: f"{directory} is full.")
        assert database.disk_trouble() == "", "it is not looked at every time"
        monkeypatch.setattr("pt4al_backend.store.database._PROBE_EVERY", 0.0)
        with pytest.raises(StoreError, match="is full"):
            database.require_usable()


def test_web_and_worker_write_at_the_same_time(tmp_path, store, project):
    other = Store(tmp_path)

    def wake_often():
        for _ in range(50):
            other.wake([project.id])

    thread = threading.Thread(target=wake_often)
    thread.start()
    for number in range(50):
        store.apply(project.id, [state(number)])
        store.update(project.id, stage="images")
    thread.join()
    other.close()
    assert store.totals(project.id).tasks == 50
    assert store.project(project.id).wake_at > 0


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "is not the URL of a database: write it like postgresql"),
        ("postgresql://me:hidden@here:port/x", "is not the URL of a database: write it like postgresql"),
        ("oracle+nothing://me:hidden@here/x", "is not the URL of a database: write it like postgresql"),
        ("mysql+pymysql://me:hidden@here/x", "needs the Python package pymysql, which is not installed"),
    ],
)
def test_the_error_of_an_unusable_database_is_a_sentence(tmp_path, url, says):
    with pytest.raises(PT4ALError, match=says) as caught:
        Store(tmp_path, url)
    assert "hidden" not in str(caught.value)


def test_the_error_of_an_unwritable_directory_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PT4ALError, match="cannot be written"):
        Store(tmp_path / "file")


@pytest.mark.parametrize("damage_at", [0, 4096])
def test_the_error_of_a_damaged_database_names_it_and_says_how_to_start_again(tmp_path, damage_at):
    data_dir = tmp_path / "data"
    file = data_dir / "pt4al.db"
    with closing(Store(data_dir)) as store:
        store.connect(url="http://x", number=7, created="99", access_token="", label_config="<View/>")
    with file.open("r+b") as opened:
        opened.seek(damage_at)
        opened.write(b"\xff" * (file.stat().st_size - damage_at))
    with pytest.raises(PT4ALError, match="is damaged") as told:
        Store(data_dir).projects()
    assert str(file) in str(told.value) and "safe in Label Studio" in str(told.value)
    data_dir.rename(tmp_path / "away")
    with closing(Store(data_dir)) as store:
        assert store.projects() == []
