"""Work done in a thread while its last result is used."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def one_ahead(make: Callable[[Task], Result], tasks: Iterable[Task]) -> Generator[Result, None, None]:
    """`make` of every task in turn; while one result is used the next is made, and no more than that.

    An error is raised where its result would be taken. Closing the generator waits for what is under way.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as executor:
        due: Future[Result] | None = None
        for task in chain(tasks, [None]):
            following = None if task is None else executor.submit(make, task)
            if due is not None:
                yield due.result()
            due = following
