"""SIGTERM and Ctrl-C: at once outside a training, at the next step inside one."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from multimodal.core.interrupted import EXIT_CODE, on_signals


def send() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_outside_a_training_it_ends_at_once() -> None:
    with pytest.raises(SystemExit) as caught, on_signals():
        send()
    assert caught.value.code == EXIT_CODE == 143


def test_a_training_is_asked_first_and_ended_by_a_second_signal() -> None:
    with pytest.raises(SystemExit), on_signals() as termination:
        termination.waiting = True
        send()
        assert termination.asked
        send()


def test_ctrl_c_waits_for_the_step_and_the_second_one_does_not() -> None:
    with pytest.raises(KeyboardInterrupt), on_signals():
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), on_signals() as termination:
        termination.waiting = True
        os.kill(os.getpid(), signal.SIGINT)
        assert termination.interrupted and not termination.asked
        os.kill(os.getpid(), signal.SIGINT)


def test_what_was_there_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with on_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_threads_have_no_signals() -> None:
    found: list[bool] = []

    def ask() -> None:
        with on_signals() as termination:
            found.append(termination.asked)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [False]
