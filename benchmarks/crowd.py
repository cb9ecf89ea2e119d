"""Many clients at once, in one thread: each sends one request, and reads until its stream has ended."""

from __future__ import annotations

import resource
import selectors
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from benchmarks.client import LAST_CHUNK, Answer, HttpClient
from benchmarks.errors import NotMeasured, RowFailed
from benchmarks.service import Service

# What the bench has open besides.
_OTHER_DESCRIPTORS = 100


class Member:
    """One of them. `began` and `ended` are when the first and the last of its stream had come, as `time.perf_counter`
    tells it; 0 until then."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client
        self.began = 0.0
        self.ended = 0.0
        self._pieces: list[bytes] = []
        self._end = b""

    def receive(self) -> None:
        """Take what is there. Raises RowFailed for an answer that is no success."""
        data = self.client.receive()
        self._pieces.append(data)
        self._end = (self._end + data[-len(LAST_CHUNK) :])[-len(LAST_CHUNK) :]
        now = time.perf_counter()
        if not self.began:
            self.began = now
            if self.answer().status >= 300:
                raise RowFailed(f"one of many was refused: {data.decode()[:500]}")
        if self._end == LAST_CHUNK:
            self.ended = now

    def answer(self) -> Answer:
        """What has come."""
        head, _, start = b"".join(self._pieces).partition(b"\r\n\r\n")
        return Answer(head, [start])


class Crowd:
    """Clients that have a connection each. `send` first, and then the others."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members
        self._selector = selectors.EpollSelector()

    def send(self, method: str, requests: Sequence[tuple[str, object]]) -> None:
        """Have each send its request, a path and a body, one after the other. No answer is waited for."""
        for member, (path, body) in zip(self.members, requests, strict=True):
            member.client.send(method, path, body)
            self._selector.register(member.client, selectors.EVENT_READ, member)

    def read_until_all(self, done: Callable[[Member], bool], seconds: float) -> None:
        """Read until each is `done`. Raises RowFailed if that takes longer than so many seconds."""
        deadline = time.perf_counter() + seconds
        while waiting := sum(not done(member) for member in self.members):
            if time.perf_counter() > deadline:
                raise RowFailed(f"{waiting} of {len(self.members)} clients still waited after {seconds:g} s")
            for key, _ in self._selector.select(1.0):
                key.data.receive()
                if key.data.ended:
                    self._selector.unregister(key.fileobj)

    def close(self) -> None:
        """Watch them no more."""
        self._selector.close()


def begun(member: Member) -> bool:
    """Whether something of its stream has come."""
    return bool(member.began)


def ended(member: Member) -> bool:
    """Whether all of its stream has come."""
    return bool(member.ended)


@contextmanager
def crowd(service: Service, count: int) -> Iterator[Crowd]:
    """So many clients, connected. Raises NotMeasured where this process may not have as many descriptors."""
    with room_for(count + _OTHER_DESCRIPTORS), ExitStack() as stack:
        members = [Member(stack.enter_context(service.client())) for _ in range(count)]
        gathered = Crowd(members)
        try:
            yield gathered
        finally:
            gathered.close()


@contextmanager
def room_for(descriptors: int) -> Iterator[None]:
    """Let this process have as many. The services that it starts before have the limit that it was started with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < descriptors:
        raise NotMeasured(f"it takes {descriptors} open files, and the hard limit is {hard}: raise it (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, descriptors), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
