"""How the kernel's messages become bytes."""

import json
import re
from typing import Any

from jupyter_client.jsonutil import json_clean, json_default
from jupyter_client.session import Session
from traitlets import Callable

from execd_kernel.variables import hidden_in

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def pack(message: Any) -> bytes:
    """`message` as JSON in UTF-8, always: a code point that UTF-8 does not have becomes U+FFFD.

    jupyter_client's own packers raise there or send broken UTF-8. A message that cannot be sent is lost, and when
    it is an error or a reply, its reader waits for nothing. Raises TypeError for what JSON cannot say.
    """
    try:
        text = dumps(message)
    except (TypeError, ValueError):
        text = dumps(json_clean(message))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return LONE_SURROGATE.sub("\ufffd", text).encode()


def dumps(message: Any) -> str:
    """`message` as strict JSON text, without NaN and infinities."""
    return json.dumps(message, default=json_default, ensure_ascii=False, allow_nan=False)


class KernelSession(Session):
    """A session whose messages can always be sent, and tell no secret."""

    pack = Callable(pack)

    def deserialize(self, *args: Any, **options: Any) -> dict[str, Any]:
        """The message in these frames."""
        return hidden_in(super().deserialize(*args, **options))
