"""What Baponi's API takes, field by field. Pure; what is not taken raises ValueError, which says what is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from urllib.parse import urlsplit

from execd.service.program import HOME

MOST_CODE = 1024 * 1024
MOST_SECONDS = 3600
DEFAULT_SECONDS = 60

_THREAD = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}")
_METADATA_KEY = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]{0,39}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
_TRACE = re.compile(r"trc_[a-zA-Z0-9_-]{1,20}")
# What could lead out of a folder, also once somebody has decoded it.
_DANGEROUS = re.compile(r"\.\.|\\|\x00|%(2e|2f|5c|00|25|c0|c1)", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_BLANK = re.compile(r"[\x00-\x20\x7f]")

_RESERVED_PREFIXES = ("BAPONI_", "NSJAIL_", "LD_", "LC_", "XDG_", "_")
_RESERVED = re.compile(
    "PATH|HOME|TMPDIR|PWD|OLDPWD|SHELL|LANG|LANGUAGE|TERM|USER|LOGNAME|MAIL|EDITOR|VISUAL"
    "|PYTHON(PATH|HOME|STARTUP|USERBASE|UNBUFFERED|DONTWRITEBYTECODE|HASHSEED|WARNINGS|OPTIMIZE|INSPECT|DEBUG"
    "|IOENCODING|MALLOC|COERCECLOCALE|FAULTHANDLER|PROFILEIMPORTTIME|PYCACHEPREFIX)"
    "|PIP_(USER|TARGET|PREFIX)|BASH_ENV|ENV|CDPATH|GLOBIGNORE|BASH_XTRACEFD|PS[124]|PROMPT_COMMAND|IFS"
    "|(HTTP|HTTPS|FTP|ALL|NO)_PROXY|NODE_(PATH|OPTIONS|EXTRA_CA_CERTS)|NPM_CONFIG_(PREFIX|CACHE|GLOBALCONFIG)"
    "|CARGO_HOME|RUSTUP_HOME|GOPATH|GOMODCACHE|GOBIN|R_LIBS_USER|JULIA_DEPOT_PATH"
)


class Mode(StrEnum):
    """How the result of a run is to be told."""

    INLINE = "inline"
    STREAMING = "streaming"
    WEBHOOK = "webhook"


def mode_of(accept: str, prefer: str) -> Mode:
    """The mode that a request's headers ask for."""
    if "respond-async" in _words(prefer):
        return Mode.WEBHOOK
    return Mode.STREAMING if "application/x-ndjson" in _words(accept) else Mode.INLINE


def code(given: str) -> str:
    """Code, of which there must be some; how much there may be is not decided here."""
    if not given:
        raise ValueError("expected code, between 1 byte and 1 MB")
    return text(given)


def text(given: str) -> str:
    """Text that can be encoded."""
    try:
        given.encode()
    except UnicodeEncodeError:
        raise ValueError("expected text without lone surrogates") from None
    return given


def thread_id(given: str) -> str:
    """The name of a thread."""
    if not _THREAD.fullmatch(given):
        raise ValueError("expected 1 to 128 letters, digits, _ and -, a letter or a digit first")
    return given


def metadata(given: Mapping[str, str]) -> Mapping[str, str]:
    """What a run is to be remembered by."""
    if len(given) > 10:
        raise ValueError("expected at most 10 keys")
    for key, value in given.items():
        if not _METADATA_KEY.fullmatch(key):
            raise ValueError("expected keys of 1 to 40 letters, digits, _, - and ., a letter or a digit first")
        if len(text(value)) > 256 or "\0" in value:
            raise ValueError("expected values of at most 256 characters, without NUL")
    return given


def sub_paths(given: Sequence[str]) -> Sequence[str]:
    """Which parts of what is mounted are to be seen."""
    if len(given) > 10:
        raise ValueError("expected at most 10 paths")
    for path in given:
        if len(text(path)) > 512 or not path.startswith("/data/") or _DANGEROUS.search(path):
            raise ValueError("expected paths below /data/, of at most 512 characters, that lead nowhere else")
    return given


def env_vars(given: Mapping[str, str]) -> Mapping[str, str]:
    """Variables of one run. It is not said which names are taken: that would be of use to the wrong people."""
    if len(given) > 50:
        raise ValueError("expected at most 50 variables")
    for name, value in given.items():
        if not _VARIABLE.fullmatch(name):
            raise ValueError("expected names of 1 to 128 capital letters, digits and _, a letter first")
        if _RESERVED.fullmatch(name) or name.startswith(_RESERVED_PREFIXES):
            raise ValueError("expected names that the system has not reserved")
        if len(text(value)) > 4096 or _CONTROLS.search(value):
            raise ValueError("expected values of at most 4096 characters, without control characters")
    if sum(len(name) + len(value) for name, value in given.items()) > 65536:
        raise ValueError("expected names and values of at most 65536 characters together")
    return given


def webhook_url(given: str) -> str:
    """Where a result is to be sent to."""
    try:
        parts = urlsplit(text(given))
        sound = parts.scheme == "https" and bool(parts.hostname) and len(given) <= 2048
    except ValueError:
        sound = False
    if not sound or _BLANK.search(given):
        raise ValueError("expected an https:// URL of at most 2048 characters")
    return given


def relative_path(given: str) -> str:
    """A path below a thread's home, "" for the home itself; it may begin with where programs see that."""
    path = text(given)
    if path == HOME or path.startswith(f"{HOME}/"):
        path = path[len(HOME) :].lstrip("/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or "\0" in path or len(path) > 4096:
        raise ValueError("expected a path relative to the thread's home, without .., of at most 4096 characters")
    return "/".join(parts)


def is_trace_id(given: str) -> bool:
    """Whether this could be the id of a run."""
    return _TRACE.fullmatch(given) is not None


def output_is_kept(created_at: int, timeout: float | None, now: int) -> bool:
    """Whether the output of a run can still be had event by event. Times are Unix ms."""
    return now <= created_at + ((timeout or 0) + 300) * 1000


def _words(header: str) -> list[str]:
    return [word.partition(";")[0].strip().lower() for word in header.split(",")]
