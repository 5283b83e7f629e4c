"""Work in forks: the order of the items, errors as they are, and no process left over.

Each runs in a process of its own: one that has threads, as a test run may have, works without forks.
"""

from __future__ import annotations

import signal
import subprocess
import sys

from kg.terms import ROOT

HEAD = """
import multiprocessing, os, signal, sys, time
from kg.errors import BuildError, OntologyError
from kg.workers import in_order
"""


def told_by(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout.strip()


def test_results_come_in_the_order_of_the_items_from_other_processes() -> None:
    script = """
def work(item):
    time.sleep(0.02 * (item % 3))
    return item * factor, os.getpid()

factor = 7  # inherited, not sent
found = [*in_order(work, range(20), 2)]
assert [result for result, _ in found] == [7 * item for item in range(20)]
assert os.getpid() not in {pid for _, pid in found}
assert [*in_order(work, range(20), 1)] == [(result, os.getpid()) for result, _ in found]
print(len(multiprocessing.active_children()))
"""
    assert told_by(script) == "0"


def test_an_error_comes_out_as_itself_and_of_the_first_item_in_order() -> None:
    script = """
def work(item):
    if item >= 4:
        time.sleep(0.2 if item == 4 else 0)  # another fails before it
        raise OntologyError(f"thing {item}: cannot be")
    return item

found = []
try:
    for result in in_order(work, range(50), 2):
        found.append(result)
except OntologyError as problem:
    print(found, problem, len(multiprocessing.active_children()))
"""
    assert told_by(script) == "[0, 1, 2, 3] thing 4: cannot be 0"


def test_a_process_that_is_killed_is_noticed_and_the_others_end() -> None:
    script = """
def work(item):
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item

try:
    print([*in_order(work, range(50), 2)])
except BuildError as problem:
    print("fewer processes" in str(problem), len(multiprocessing.active_children()))
"""
    assert told_by(script) == "True 0"


def assert_two_end_with_their_parent(script: str) -> None:
    """A script whose two processes print their numbers, and then would sleep, is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HEAD + script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        for _ in range(2):
            assert int(parent.stdout.readline()) != parent.pid
        parent.send_signal(signal.SIGKILL)
        # The pipe ends when the last process that can write to it has ended.
        assert parent.stdout.read() == ""


def test_no_process_outlives_one_that_is_killed() -> None:
    script = """
def work(item):
    os.write(1, b"%d\\n" % os.getpid())  # at once: they write to one pipe
    time.sleep(600)

[*in_order(work, range(2), 2)]
"""
    assert_two_end_with_their_parent(script)


def test_tasks_beside_each_other_tell_what_they_return_by_name_and_no_more_run_than_may() -> None:
    script = """
from kg.workers import beside

def task(name):
    def run():
        began = time.monotonic()
        time.sleep(0.2)
        return name.upper(), os.getpid(), began, time.monotonic()
    return run

begun = []
found = beside({name: task(name) for name in "abcd"}, 2, begun.append)
assert begun == list(found) == list("abcd")
assert [result[0] for result in found.values()] == list("ABCD")
assert len({result[1] for result in found.values()} | {os.getpid()}) == 5
meanwhile = [sum(b <= began < e for _, _, b, e in found.values()) for _, _, began, _ in found.values()]
assert max(meanwhile) == 2
alone = beside({name: task(name) for name in "ab"}, 1, begun.append)
assert begun[4:] == list("ab") and {result[1] for result in alone.values()} == {os.getpid()}
print(len(multiprocessing.active_children()))
"""
    assert told_by(script) == "0"


def test_a_task_that_fails_ends_those_beside_it_which_clear_up_and_its_error_comes_out() -> None:
    script = """
from kg.workers import beside

def fails():
    receiver.recv()  # when the other has begun
    raise OntologyError("thing: cannot be")

def long():
    try:
        sender.send("begun")
        time.sleep(600)
    finally:
        print("cleared up", flush=True)

receiver, sender = multiprocessing.Pipe(duplex=False)
try:
    beside({"long": long, "fails": fails, "never": lambda: print("never")}, 2, str)
except OntologyError as problem:
    print(problem, len(multiprocessing.active_children()))
"""
    assert told_by(script).splitlines() == ["cleared up", "thing: cannot be 0"]


def test_a_task_that_is_killed_is_noticed() -> None:
    script = """
from kg.workers import beside

try:
    beside({"killed": lambda: os.kill(os.getpid(), signal.SIGKILL), "long": lambda: time.sleep(600)}, 2, str)
except BuildError as problem:
    print("fewer processes" in str(problem), len(multiprocessing.active_children()))
"""
    assert told_by(script) == "True 0"


def test_no_task_outlives_the_process_that_began_it() -> None:
    script = """
from kg.workers import beside

def work():
    os.write(1, b"%d\\n" % os.getpid())  # at once: they write to one pipe
    time.sleep(600)

beside({"one": work, "other": work}, 2, str)
"""
    assert_two_end_with_their_parent(script)


def test_a_process_that_has_threads_does_the_tasks_itself_and_can_say_so() -> None:
    script = """
import threading
from kg.workers import beside, can_fork

assert can_fork()
stop = threading.Event()
threading.Thread(target=stop.wait).start()
assert not can_fork()
print({*beside({"one": os.getpid, "other": os.getpid}, 2, str).values()} == {os.getpid()})
stop.set()
"""
    assert told_by(script) == "True"
