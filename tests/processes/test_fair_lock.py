import threading
import time

import pytest

from pt4al_backend.processes.fair_lock import FairLock, TurnThread


def wait_for(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


class Projects:
    """Threads that share one lock, and a record of what they did."""

    def __init__(self, number):
        self.lock, self.done, self.at_once = FairLock(), [], 0
        self.answers = [threading.Event() for _ in range(number)]
        self.threads = [TurnThread(self.lock, str(k)) for k in range(number)]

    def turn(self, which, *, asks=False):
        def work():
            self._work(which)
            if asks:
                with self.lock.released():
                    self.answers[which].wait()
                self._work(which)
            return asks

        return work

    def _work(self, which):
        self.at_once += 1
        assert self.at_once == 1, "one at a time"
        time.sleep(0.01)
        self.at_once -= 1
        self.done.append(which)


@pytest.fixture
def projects():
    projects = Projects(4)
    yield projects
    projects.lock.close()


def test_they_work_one_at_a_time_in_the_order_of_their_turns(projects):
    for _ in range(3):
        for which, thread in enumerate(projects.threads):
            thread.submit(projects.turn(which))
        projects.lock.wait_until_free()
    assert projects.done == [0, 1, 2, 3] * 3


def test_nobody_waits_for_a_project_that_waits_for_a_response(projects):
    for _ in range(3):
        for which, thread in enumerate(projects.threads):
            thread.submit(projects.turn(which, asks=which == 1))
        projects.lock.wait_until_free()
    assert projects.done == [0, 1, 2, 3, 0, 2, 3, 0, 2, 3]
    assert (projects.threads[1].running, projects.threads[1].has_more) == (True, False)
    with projects.lock.held():  # an answer that comes while somebody works waits for its turn
        projects.answers[1].set()
        time.sleep(0.05)
        assert projects.done.count(1) == 1
    wait_for(lambda: not projects.threads[1].running)
    assert projects.done[-1] == 1 and projects.threads[1].has_more


def test_the_error_of_a_turn_is_raised_once_by_the_next(projects):
    thread = projects.threads[0]
    thread.submit(lambda: 1 / 0 > 0)
    projects.lock.wait_until_free()
    with pytest.raises(ZeroDivisionError):
        thread.submit(projects.turn(0))
    thread.submit(projects.turn(0))
    projects.lock.wait_until_free()
    assert projects.done == [0]


def test_a_project_that_leaves_takes_a_last_turn_after_the_current_one(projects):
    thread = projects.threads[0]
    thread.submit(projects.turn(0, asks=True))
    projects.lock.wait_until_free()
    thread.finish(lambda: bool(projects.done.append("last")))
    projects.answers[0].set()
    wait_for(lambda: "last" in projects.done)
    assert projects.done == [0, 0, "last"]
    wait_for(lambda: not thread._thread.is_alive())


def test_nobody_works_after_the_end(projects):
    for which, thread in enumerate(projects.threads):
        thread.submit(projects.turn(which, asks=True))
    projects.lock.wait_until_free()
    projects.lock.close()
    for answer in projects.answers:
        answer.set()
    wait_for(lambda: not any(thread._thread.is_alive() for thread in projects.threads))
    assert projects.done == [0, 1, 2, 3]


def test_other_threads_do_not_hold_the_lock(projects):
    with projects.lock.held():
        left = threading.Thread(target=lambda: projects.lock.released().__enter__())
        left.start()
        left.join()
        projects.threads[0].submit(projects.turn(0))
        time.sleep(0.05)
        assert projects.done == []
