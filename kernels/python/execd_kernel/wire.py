"""A ZMQ socket whose messages leave whole, whatever handlers of signals do.

Python hands over to another thread, and calls handlers of signals, between two instructions of Python code. A handler
may raise there: one for SIGALRM that ends what takes too long is common in code of users. Inside a single call into C
neither happens, and `deque(map(…))` is one, however many calls it makes. But pyzmq looks for signals too, after each
frame, and what is sent next would be taken for the rest of that message. So libzmq is called as it is, by way of the
module in which pyzmq has it.
"""

import ctypes
import errno
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import takewhile
from operator import call, ne
from typing import Any

import zmq
from zmq.backend.cython import _zmq

Call = Callable[[], Any]
Calls = tuple[Call, ...]

_LONGEST_EVENT = 256

_send = ctypes.CDLL(_zmq.__file__, use_errno=True)["zmq_send"]
_send_at_once = ctypes.PyDLL(_zmq.__file__)["zmq_send"]
_receive = ctypes.PyDLL(_zmq.__file__)["zmq_recv"]
"""The latter two let no other thread run meanwhile, and must not block."""

_send.argtypes = _send_at_once.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
_receive.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

_is_done = partial(ne, -1)


def at_once(calls: Iterable[Call]) -> None:
    """Make these calls, which must be into C, as one step. Nothing comes between them, but the step's end where one of
    them raises."""
    deque(map(call, calls), maxlen=0)


class Wire:
    """An XPUB socket. Who calls sees to it that nobody else uses the socket meanwhile."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._handle = socket.underlying
        self._buffer = ctypes.create_string_buffer(_LONGEST_EVENT)
        self._arrived: deque[Any] = deque()

    def send(self, frames: Sequence[bytes], done: Calls) -> None:
        """Send a message and make the calls `done`, which are into C and not give -1, as one step. Waits until there is
        room; what a handler raises meanwhile comes before the step or after it. Raises zmq.Again where the socket has a
        time limit and that is over."""
        first, *others = frames
        flags: list[int] = [zmq.SNDMORE] * len(others)
        flags[-1:] = [0]
        calls: Calls = (
            partial(_send, self._handle, first, len(first), zmq.SNDMORE if others else 0),
            # There is room for all of a message where there is for its first frame.
            *(
                partial(_send_at_once, self._handle, frame, len(frame), flag)
                for frame, flag in zip(others, flags, strict=True)
            ),
            *done,
        )
        while len(list(takewhile(_is_done, map(call, calls)))) < len(calls):
            error = ctypes.get_errno()
            if error == errno.EAGAIN:
                raise zmq.Again
            if error != errno.EINTR:
                raise zmq.ZMQError(error)

    def events(self) -> list[bytes]:
        """Subscriptions and their ends, in order, that have arrived; each counts until `forget` is called."""
        receive = partial(_receive, self._handle, self._buffer, _LONGEST_EVENT, zmq.NOBLOCK)
        while self._socket.get(zmq.EVENTS) & zmq.POLLIN:
            self._arrived.extend(map(call, (receive, partial(getattr, self._buffer, "raw"))))
        arrived = list(self._arrived)
        return [raw[:size] for size, raw in zip(arrived[::2], arrived[1::2], strict=True) if size >= 0]

    def forget(self) -> None:
        """The events have been dealt with."""
        self._arrived.clear()
