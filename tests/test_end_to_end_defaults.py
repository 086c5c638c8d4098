"""Through the front door as people first meet it: the default encoder and strategy, and no network but this machine.

Most other tests of the front door set `encoder=rotation`, whose networks are small.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.digits import DigitProject
from support.known_projects import annotate_in_turn, stored, wait_until
from support.no_network import NoNetwork

IMAGES = 60
SETTINGS = {"cycles": 3, "query_size": 4, "slack": 6, "device": "cpu", "poll_interval": 0.5, "idle_interval": 1}
EPOCHS = 5  # of the pretext task: it is still being learned when the first order is there


@pytest.fixture
def no_network(tmp_path):
    return NoNetwork.in_directory(tmp_path / "no-network")


@pytest.fixture
def backend(label_studio, start_backend, no_network):
    return start_backend(label_studio, environment=no_network.variables(), pretext_epochs=EPOCHS, **SETTINGS)


@pytest.mark.parametrize("connect", ["create_connection(('192.0.2.1', 443), 5)", "getaddrinfo('huggingface.co', 443)"])
def test_a_process_without_a_network_reaches_nobody(no_network, connect):
    program = [sys.executable, "-c", f"import socket; socket.{connect}"]
    done = subprocess.run(program, env=no_network.variables(), capture_output=True, text=True, timeout=60)
    assert "Network is unreachable" in done.stderr
    assert len(no_network.refused) == 1


def test_the_order_comes_from_embeddings_and_the_batches_behind_it(label_studio, backend, no_network):
    project = DigitProject.create(label_studio, IMAGES)
    project.connect(backend)
    status = backend.project(project.number)
    used = {name: status[name] for name in ("encoder", "strategy", "ranked", "pretext_learned", "error", "notes")}
    assert used == {
        "encoder": "efficientnet_lite0",
        "strategy": "balanced",
        "ranked": IMAGES,
        "pretext_learned": False,  # nobody waits for it
        "error": "",
        "notes": [],
    }
    first = project.queue()
    assert len(first) == SETTINGS["query_size"] + SETTINGS["slack"]
    assert label_studio.next_task(project.number)["id"] == first[0]
    assert len({project.truth[task] for task in first[:4]}) >= 3  # they cover the pool

    rounds = annotate_in_turn(backend, project, [label_studio], 6)
    wait_until(lambda: f"-n{len(rounds)}-" in project.version)
    assert project.queue()[:4] != [task for task in first if task in project.queue()][:4]  # labels changed the order
    assert any(project.published().values())  # and the model answers

    wait_until(lambda: backend.project(project.number)["pretext_learned"])
    batches, losses = stored(backend, project, lambda store, row: sorted_pool(store.pool(row)))
    assert set(batches) == {0, 1, 2} and min(losses) > 0
    project.label(label_studio.next_task(project.number)["id"])
    wait_until(lambda: f"-n{len(rounds) + 1}-" in project.version)
    assert backend.project(project.number)["strategy"] == "balanced"
    assert no_network.refused == []  # nothing even tried


def sorted_pool(pool):
    return pool.batch.tolist(), pool.loss.tolist()
