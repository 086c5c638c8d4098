"""The number of threads follows the machine, here one that is made up."""

from __future__ import annotations

import pytest
import torch

from pt4al_backend.learning.thread_choice import ThreadChoice


class Machine:
    """Seconds that an image takes, by the number of threads; time passes only in steps."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.now, self.seconds = 0.0, seconds
        self.choice = ThreadChoice(max(seconds), clock=lambda: self.now)

    def compute(self, steps: int, *, images: int = 32) -> list[int]:
        """The number of threads in each step."""
        used = []
        for _ in range(steps):
            with self.choice.step(images):
                used.append(torch.get_num_threads())
                self.now += images * self.seconds[used[-1]]
        return used


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [({1: 0.010, 2: 0.006}, 2), ({1: 0.010, 2: 0.009}, 1), ({1: 0.010, 2: 0.050}, 1), ({1: 0.010, 8: 0.002}, 8)],
)
def test_more_threads_are_used_where_they_are_faster(seconds: dict[int, float], chosen: int) -> None:
    used = Machine(seconds).compute(40)
    assert sorted(used[:6]) == sorted(3 * list(seconds))
    assert set(used[6:]) == {chosen}


def test_a_step_that_happened_to_be_slow_decides_nothing() -> None:
    machine = Machine({1: 0.010, 2: 0.006})
    machine.compute(1)
    machine.seconds = {1: 0.010, 2: 0.200}
    machine.compute(1)
    machine.seconds = {1: 0.010, 2: 0.006}
    assert set(machine.compute(20)[4:]) == {2}


def test_the_choice_follows_what_others_do_on_the_machine() -> None:
    machine = Machine({1: 0.010, 2: 0.006})
    assert machine.compute(100)[-1] == 2
    machine.seconds = {1: 0.015, 2: 0.060}
    used = machine.compute(100)
    assert used[-1] == 1 and used.count(2) < 20
    machine.seconds = {1: 0.008, 2: 0.005}
    assert machine.compute(100)[-1] == 2


def test_a_slower_choice_is_tried_rarely() -> None:
    machine = Machine({1: 0.010, 2: 0.050})
    assert machine.compute(1000).count(2) == 3


def test_steps_of_different_sizes_are_compared_by_image() -> None:
    machine = Machine({1: 0.010, 2: 0.006})
    machine.compute(6)
    assert set(machine.compute(100, images=4) + machine.compute(100, images=128)) == {2}


def test_one_core_needs_no_choice() -> None:
    machine = Machine({1: 0.010})
    assert set(machine.compute(50)) == {1}


def test_the_number_of_threads_is_what_it_was_after_each_step() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), ThreadChoice(before + 1).step(1):
        _ = 1 / 0
    Machine({1: 0.010, 2: 0.006}).compute(20)
    assert torch.get_num_threads() == before
