import threading
import time

import pytest

from pt4al_backend.turns import Desk, Seat


def wait_for(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


class Projects:
    """Seats at one desk, and a record of what was done there."""

    def __init__(self, number):
        self.desk, self.done, self.at_once = Desk(), [], 0
        self.answers = [threading.Event() for _ in range(number)]
        self.seats = [Seat(self.desk, str(k)) for k in range(number)]

    def turn(self, which, *, asks=False):
        def work():
            self._work(which)
            if asks:
                with self.desk.left():
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
    projects.desk.close()


def test_they_work_one_at_a_time_in_the_order_of_their_turns(projects):
    for _ in range(3):
        for which, seat in enumerate(projects.seats):
            seat.take(projects.turn(which))
        projects.desk.wait_until_free()
    assert projects.done == [0, 1, 2, 3] * 3


def test_who_waits_for_an_answer_is_not_waited_for(projects):
    for _ in range(3):
        for which, seat in enumerate(projects.seats):
            seat.take(projects.turn(which, asks=which == 1))
        projects.desk.wait_until_free()
    assert projects.done == [0, 1, 2, 3, 0, 2, 3, 0, 2, 3]
    assert (projects.seats[1].taken, projects.seats[1].has_more) == (True, False)
    with projects.desk.held():  # an answer that comes while somebody works waits for its turn
        projects.answers[1].set()
        time.sleep(0.05)
        assert projects.done.count(1) == 1
    wait_for(lambda: not projects.seats[1].taken)
    assert projects.done[-1] == 1 and projects.seats[1].has_more


def test_what_a_turn_raises_is_raised_once_by_the_next(projects):
    seat = projects.seats[0]
    seat.take(lambda: 1 / 0 > 0)
    projects.desk.wait_until_free()
    with pytest.raises(ZeroDivisionError):
        seat.take(projects.turn(0))
    seat.take(projects.turn(0))
    projects.desk.wait_until_free()
    assert projects.done == [0]


def test_who_leaves_takes_a_last_turn_after_the_one_under_way(projects):
    seat = projects.seats[0]
    seat.take(projects.turn(0, asks=True))
    projects.desk.wait_until_free()
    seat.leave(lambda: bool(projects.done.append("last")))
    projects.answers[0].set()
    wait_for(lambda: "last" in projects.done)
    assert projects.done == [0, 0, "last"]
    wait_for(lambda: not seat._thread.is_alive())


def test_nobody_works_after_the_end(projects):
    for which, seat in enumerate(projects.seats):
        seat.take(projects.turn(which, asks=True))
    projects.desk.wait_until_free()
    projects.desk.close()
    for answer in projects.answers:
        answer.set()
    wait_for(lambda: not any(seat._thread.is_alive() for seat in projects.seats))
    assert projects.done == [0, 1, 2, 3]


def test_others_threads_are_not_at_the_desk(projects):
    with projects.desk.held():
        left = threading.Thread(target=lambda: projects.desk.left().__enter__())
        left.start()
        left.join()
        projects.seats[0].take(projects.turn(0))
        time.sleep(0.05)
        assert projects.done == []
