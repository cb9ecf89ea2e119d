"""stdout and stderr of a kernel whose reader may take its time."""

import threading

from ipykernel import iostream


class OutStream(iostream.OutStream):
    """A stream whose `flush` returns when the text has been handed to the reader's queue, however long that takes.

    Stock gives up after ten seconds and says so on fd 2, which is captured: the line would be taken for the user's.
    An interrupt ends the wait.
    """

    flush_timeout = int(threading.TIMEOUT_MAX)
