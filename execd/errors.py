"""Everything that execd refuses or fails with, in one tree.

    ExecdError
    ├── InvalidRequest            the request itself is wrong; `field` names where
    │   ├── MissingQuery          a query parameter that must be there is not
    │   ├── BodyTooLarge          more bytes than a body may have
    │   │   └── CodeTooLarge      more bytes than code may have
    │   ├── WrongContentType      a JSON body that does not say that it is JSON
    │   ├── InvalidUpload         the parts of an upload do not fit together, or it was cut off
    │   │   ├── MetadataMissing   no part says where the files go, or it says it wrongly
    │   │   └── ContentMissing    no part holds a file
    │   ├── InvalidFields         a mask asks for a field that there is not
    │   ├── InvalidFrame          a message on a terminal's WebSocket that means nothing
    │   └── InvalidPort           no port that could be reached
    ├── NotFound
    │   ├── ContextNotFound
    │   ├── ExecutionNotFound
    │   ├── CommandNotFound
    │   ├── ArtifactNotFound
    │   ├── AgentNotFound
    │   ├── VersionNotFound       the agent has no such version
    │   ├── ApprovalNotFound
    │   ├── WebhookNotFound
    │   ├── FileNotFound
    │   ├── SessionNotFound       no bash session
    │   ├── ProcessNotFound       no command has this process number
    │   ├── ThreadNotFound        no program has run in a thread with this id, or that was too long ago
    │   ├── LinkInvalid           a signed link that is none of ours, or too old
    │   ├── UploadNotFound        no upload in parts has this id
    │   ├── SandboxNotFound
    │   │   └── SandboxExpired    there was one, until its time was over
    │   ├── TerminalNotFound
    │   └── TerminalGone          deleted, or the service ends, while a client was attached
    ├── UnknownLanguage           no kernel for that language; the message names those that exist
    ├── Conflict                  the thing is there, but in a state that forbids the call
    │   ├── NoInputWanted         an answer to `input()` that nobody asked for
    │   ├── NotRunning            it has ended already
    │   ├── InputClosed           what runs has closed its input, or somebody has
    │   ├── UploadConflict        the upload is not in a state for this, or its parts do not fit
    │   ├── AlreadyDecided        somebody has approved or rejected it before, or its time is over
    │   ├── NotAwaitingApproval   the run waits for nobody
    │   ├── SandboxNotReady       it is paused, or not made yet
    │   ├── ThreadBusy            a program runs in the thread
    │   ├── TerminalInUse         another client is attached
    │   ├── TerminalTakenOver     another client attached in this one's place
    │   └── InputRefused          what runs in the terminal has closed its input
    ├── FileFailed                the machine refused what was asked of a file; the message says why
    │   ├── NotAFile              a folder, FIFO, socket or device where a regular file is wanted
    │   ├── NotADirectory         a file, or a symlink, where a folder is wanted
    │   ├── PathUnusable          a path that leads nowhere: a symlink loop, too long, a file used as a folder
    │   ├── FileForbidden         the user that the work is done as may not do this
    │   ├── DestinationExists     a move onto something that is there
    │   └── RangeUnsatisfiable    a byte range that is malformed, or begins behind the end of the file
    ├── IdentityRefused           this service cannot act as that user
    │   └── UserNotInside         nobody can: behind the sandbox's walls there is no such user
    ├── IsolationUnavailable      isolated sessions are not to be had here
    ├── NotOffered                the API knows it, this service has it not
    │   ├── FreezeUnavailable     sandboxes cannot be paused where nothing can stop their processes
    │   ├── EnvsUnavailable       the language's kernel cannot have variables for one run
    │   └── PackageMissing        it takes a package that is not installed
    ├── LimitReached              a bound of this service; later, or with less, it may work
    │   ├── QueueFull             too many runs wait for one context
    │   ├── TooManyContexts
    │   ├── TooManySandboxes
    │   ├── TooManyPrograms       as many programs run as a tenant may have at once
    │   ├── QuotaExceeded         a tenant has used up what it may have
    │   ├── TooManyWebhooks       a tenant has as many as it may
    │   ├── TooManyWatches        too many folders are being watched
    │   ├── NoWatchLeft           the machine lets no more folders be watched
    │   ├── TooManyTerminals
    │   └── TooFewDescriptors     what runs needs the last files that the service may open
    ├── KernelFailed
    │   ├── KernelStartFailed     the kernel did not come up
    │   └── WorkingFolderUnusable the `cwd` cannot be made or entered
    ├── CommandFailed             a command that somebody waits for could not be started
    │   └── CommandTimedOut       it was still running when its time was over
    ├── SandboxFailed             a sandbox could not be made, paused or copied
    ├── TerminalStartFailed       no shell could be started
    ├── PortUnreachable           nothing answers at the port, or not as HTTP
    ├── StorageFull               the disk cannot take more
    │   ├── FileDoesNotFit        it has no room for a file, or a quota has none
    │   └── StoreUnusable         the database cannot be read or written for another reason
    ├── ScopeMissing              the key is good, but not for this
    ├── CannotServe               the service cannot start as it is configured
    │   └── FolderInUse           another service works in the data folder
    └── ShuttingDown              the service takes no new work

The file is as long as the tree: what can go wrong is to be seen in one place.

No class here knows HTTP: `execd.wire` has one table a dialect that gives each its status and its code, and a test
that walks this tree.
"""

from __future__ import annotations


class ExecdError(Exception):
    """The root. `str(error)` is a sentence for a person that says what to do next."""


class InvalidRequest(ExecdError):
    """The request cannot be understood. `field` is the dotted path of the offending field, or empty."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class MissingQuery(InvalidRequest):
    """A query parameter is missing."""

    def __init__(self, name: str, expected: str) -> None:
        super().__init__(f"missing query parameter, expected {expected}", name)


class BodyTooLarge(InvalidRequest):
    """The body is larger than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than the {limit} bytes that this service accepts")
        self.limit = limit


class CodeTooLarge(BodyTooLarge):
    """The code is longer than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        InvalidRequest.__init__(self, f"expected at most {limit} bytes of UTF-8", "code")
        self.limit = limit


class WrongContentType(InvalidRequest):
    """A JSON body came with another content type, or with none."""

    def __init__(self, got: str) -> None:
        seen = f"got {got!r}" if got else "got none"
        super().__init__(f"expected application/json, {seen}", "Content-Type")


class InvalidUpload(InvalidRequest):
    """An upload whose parts do not fit together, or that ended before its end."""


class MetadataMissing(InvalidUpload):
    """A part that says where a file goes is missing or cannot be understood."""


class ContentMissing(InvalidUpload):
    """An upload without any file in it."""

    def __init__(self) -> None:
        super().__init__("expected at least one part named file, with the content of a file", "file")


class InvalidFields(InvalidRequest):
    """A mask of fields names one that there is not."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"expected some of {', '.join(known)}, got {name[:40]!r}", "fields")


class InvalidFrame(InvalidRequest):
    """A message on a terminal's WebSocket cannot be understood."""


class InvalidPort(InvalidRequest):
    """This is not a port that requests can be handed on to."""

    def __init__(self, port: str, why: str) -> None:
        super().__init__(f"bad port {port[:20]!r}: {why}")


class NotFound(ExecdError):
    """There is no such thing, or it belongs to somebody else."""


class ContextNotFound(NotFound):
    """No context has this id."""

    def __init__(self, context_id: str) -> None:
        super().__init__(f"context not found: {context_id!r}; GET /code/contexts lists those that exist")


class ExecutionNotFound(NotFound):
    """No execution has this id, or its record was removed by the retention settings."""

    def __init__(self, execution_id: str) -> None:
        super().__init__(
            f"execution not found: {execution_id!r}; it never was, or the retention limits have removed its record"
        )


class CommandNotFound(NotFound):
    """No command has this id, or not one of the kind that the call is about."""

    def __init__(self, command_id: str) -> None:
        super().__init__(f"command not found: {command_id!r}")


class ArtifactNotFound(NotFound):
    """No artifact has this id, or it went with the record of its run."""

    def __init__(self, artifact_id: str) -> None:
        super().__init__(
            f"artifact not found: {artifact_id[:60]!r}; it never was, was deleted, or went with the record of its run"
        )


class AgentNotFound(NotFound):
    """No agent has this id."""

    def __init__(self, agent_id: str) -> None:
        super().__init__(f"agent not found: {agent_id[:60]!r}")


class VersionNotFound(NotFound):
    """The agent has no version with this id."""

    def __init__(self, version_id: str) -> None:
        super().__init__(f"version not found: {version_id[:60]!r}; GET …/versions lists those that the agent has")


class ApprovalNotFound(NotFound):
    """No approval has this id, or it went with the record of its run."""

    def __init__(self, approval_id: str) -> None:
        super().__init__(f"approval not found: {approval_id[:60]!r}")


class WebhookNotFound(NotFound):
    """No webhook has this id."""

    def __init__(self, webhook_id: str) -> None:
        super().__init__(f"webhook not found: {webhook_id[:60]!r}; GET /v1/webhooks lists those that there are")


class FileNotFound(NotFound):
    """There is nothing at this path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"there is no file or folder {path!r}")


class SessionNotFound(NotFound):
    """No bash session has this id."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session not found: {session_id!r}; POST /session makes one")


class ProcessNotFound(NotFound):
    """No command of the sandbox has this process number."""

    def __init__(self, pid: str) -> None:
        super().__init__(f"process not found: {pid[:40]!r}; only commands that were started over this API are known")


class ThreadNotFound(NotFound):
    """No program has run in a thread with this id, or the thread has been idle for too long."""

    def __init__(self, thread: str) -> None:
        super().__init__(f"thread not found: {thread[:128]!r}; code that is run with its id makes one")


class LinkInvalid(NotFound):
    """A signed link that this service has not made, or too long ago."""

    def __init__(self) -> None:
        super().__init__("this link is not valid, or not any more; ask for a new one")


class UploadNotFound(NotFound):
    """No upload in parts has this id."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"upload not found: {upload_id[:60]!r}")


class SandboxNotFound(NotFound):
    """No sandbox has this id."""

    def __init__(self, sandbox_id: str) -> None:
        super().__init__(f"sandbox not found: {sandbox_id!r}; it never was, or it was deleted")


class SandboxExpired(SandboxNotFound):
    """There was a sandbox with this id, and its time is over."""

    def __init__(self, sandbox_id: str, why: str) -> None:
        NotFound.__init__(self, f"sandbox {sandbox_id!r} has expired: {why}")


class TerminalNotFound(NotFound):
    """No terminal has this id."""

    def __init__(self, terminal_id: str) -> None:
        super().__init__(f"terminal not found: {terminal_id!r}; POST /pty makes one")


class TerminalGone(NotFound):
    """The terminal was deleted, or the service ends."""

    def __init__(self, terminal_id: str) -> None:
        super().__init__(f"terminal {terminal_id!r} was deleted, with what ran in it")


class UnknownLanguage(ExecdError):
    """There is no kernel for the language."""

    def __init__(self, language: str, known: list[str]) -> None:
        super().__init__(f"unknown language {language!r}; this service has: {', '.join(known) or 'none'}")
        self.known = known


class Conflict(ExecdError):
    """The thing exists, but not in a state in which the call makes sense."""


class NoInputWanted(Conflict):
    """The execution does not wait for a line of input."""

    def __init__(self, execution_id: str) -> None:
        super().__init__(f"execution {execution_id!r} is not waiting for input; answer after an input_request event")


class NotRunning(Conflict):
    """The call is about something that runs, and this does not any more."""

    def __init__(self, identity: str) -> None:
        super().__init__(f"{identity!r} is not running: it has ended already")


class InputClosed(Conflict):
    """What runs takes no more input."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the process takes no input any more: {why}")


class UploadConflict(Conflict):
    """An upload in parts is not in a state for this, or its parts are not what they should be."""


class AlreadyDecided(Conflict):
    """It was approved or rejected before, or nobody has decided in time."""

    def __init__(self, approval_id: str) -> None:
        super().__init__(f"{approval_id!r} is decided already, or its time is over; GET it to see how")


class NotAwaitingApproval(Conflict):
    """The run does not wait for anybody to approve."""

    def __init__(self, execution_id: str) -> None:
        super().__init__(f"execution {execution_id!r} waits for no approval")


class SandboxNotReady(Conflict):
    """The sandbox exists, but nothing can be done in it now."""

    def __init__(self, sandbox_id: str, status: str) -> None:
        super().__init__(f"sandbox {sandbox_id!r} is {status}; it has to be running")


class ThreadBusy(Conflict):
    """A program runs in the thread, which takes one at a time."""

    def __init__(self, thread: str) -> None:
        super().__init__(f"thread_busy: {thread}")


class FileFailed(ExecdError):
    """Something that was asked of a file could not be done."""


class NotAFile(FileFailed):
    """Not a regular file; `kind` says what it is instead."""

    def __init__(self, path: str, kind: str) -> None:
        super().__init__(f"expected a regular file, {path!r} is a {kind}")


class NotADirectory(FileFailed):
    """Not a folder; `kind` says what it is instead."""

    def __init__(self, path: str, kind: str) -> None:
        super().__init__(f"expected a folder, {path!r} is a {kind}")


class PathUnusable(FileFailed):
    """The path cannot lead to anything, as things are."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path!r} is no usable path: {why}")


class FileForbidden(FileFailed):
    """The permissions of the file, of its folder or of its disk forbid it."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"not allowed on {path!r}: {why}")


class DestinationExists(FileFailed):
    """A move would have replaced something."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path!r} already exists; delete it first, or choose another destination")


class RangeUnsatisfiable(FileFailed):
    """The Range header asks for bytes that the file does not have; `size` is what it has."""

    def __init__(self, header: str, size: int) -> None:
        super().__init__(f"cannot serve the range {header[:80]!r} of {size} bytes; expected bytes=first-last")
        self.size = size


class IdentityRefused(ExecdError):
    """The service has not the power to act as another user."""

    def __init__(self, wanted: str, own: str) -> None:
        super().__init__(f"this service runs as {own} and cannot act as {wanted}; only a service run by root can")


class UserNotInside(IdentityRefused):
    """Behind the walls of the sandbox there is only one user, and it is another."""

    def __init__(self, wanted: str, only: str) -> None:
        ExecdError.__init__(self, f"this sandbox has one user, {only}; nobody can act as {wanted} in it")


class IsolationUnavailable(ExecdError):
    """There are no isolated sessions in this service."""

    def __init__(self, why: str) -> None:
        super().__init__(f"isolated sessions are not available: {why}")


class NotOffered(ExecdError):
    """Something that the API knows and this service, or this machine, does not offer."""


class FreezeUnavailable(NotOffered):
    """The processes of a sandbox cannot be stopped and continued where it is."""

    def __init__(self) -> None:
        super().__init__(
            "sandboxes cannot be paused here: nothing can freeze their processes; GET /v1/capabilities says what can be"
        )


class EnvsUnavailable(NotOffered):
    """The kernel of this language cannot set environment variables for one run and restore them."""

    def __init__(self, language: str) -> None:
        super().__init__(
            f"the {language} kernel cannot have environment variables for one run; give them to the sandbox when it is "
            "made, or set them in the code"
        )


class PackageMissing(NotOffered):
    """It takes a package that is not installed with execd: one of its extras."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} takes a package that is not installed: pip install 'execd[{extra}]'")


class TerminalInUse(Conflict):
    """Another client is attached to the terminal."""

    def __init__(self, terminal_id: str) -> None:
        super().__init__(f"another client is attached to terminal {terminal_id!r}; takeover=1 takes its place")


class TerminalTakenOver(Conflict):
    """Another client has attached in the place of this one."""

    def __init__(self, terminal_id: str) -> None:
        super().__init__(f"another client has taken terminal {terminal_id!r} over")


class InputRefused(Conflict):
    """What runs in the terminal has closed its input."""

    def __init__(self, terminal_id: str, why: str) -> None:
        super().__init__(f"terminal {terminal_id!r} takes no more input: {why}")


class LimitReached(ExecdError):
    """A bound of the service was met; `retry_after` is a guess in seconds."""

    retry_after = 1


class QueueFull(LimitReached):
    """The context already has as many waiting runs as it may."""

    def __init__(self, context_id: str, limit: int) -> None:
        super().__init__(f"context {context_id!r} already has {limit} runs waiting; try again when some have ended")


class TooManyContexts(LimitReached):
    """The service already keeps as many contexts as it may."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"there are already {limit} contexts; delete one that is not needed, then try again")


class TooManySandboxes(LimitReached):
    """The service already keeps as many sandboxes as it may."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"there are already {limit} sandboxes; delete one that is not needed, then try again")


class TooManyPrograms(LimitReached):
    """As many programs of a tenant run as may at once."""

    def __init__(self, running: int, limit: int) -> None:
        super().__init__(f"concurrent execution limit reached ({running}/{limit}); try again when one has ended")


class QuotaExceeded(LimitReached):
    """A tenant has used up what it may have of something."""

    def __init__(self, what: str, used: int, limit: int, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(f"this key's quota of {what} is {limit}, and {used} are used; {_RELIEF[what]}")


_RELIEF = {
    "executions": "try again when one has ended",
    "sandboxes": "delete one that is not needed, then try again",
    "contexts": "delete one that is not needed, then try again",
    "stored_bytes": "delete artifacts, or wait until old executions are removed",
    "cpu_seconds": "it is counted anew from midnight on (UTC)",
}


class TooManyWebhooks(LimitReached):
    """A tenant already has as many webhooks as it may."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"there are already {limit} webhooks; remove one that is not needed, then try again")


class TooManyWatches(LimitReached):
    """As many folders are watched as may be."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} folders are being watched already; end a watch that is not needed, then try again")


class NoWatchLeft(LimitReached):
    """The machine lets the service's user watch no more folders."""

    def __init__(self) -> None:
        super().__init__(
            "the machine lets no more folders be watched; end a watch that is not needed, then try again, or have "
            "fs.inotify.max_user_instances and fs.inotify.max_user_watches raised"
        )


class TooManyTerminals(LimitReached):
    """The service already keeps as many terminals as it may."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"there are already {limit} terminals; delete one that is not needed, then try again")


class TooFewDescriptors(LimitReached):
    """The process may open so few files yet that nothing new is begun."""

    def __init__(self, left: int, limit: int) -> None:
        super().__init__(
            f"of the {limit} files that the service may have open {left} are left, for what runs; delete contexts or "
            "sandboxes that are not needed, then try again, or have the limit of open files raised"
        )


class KernelFailed(ExecdError):
    """Something about a kernel went wrong that is not the request's fault."""


class KernelStartFailed(KernelFailed):
    """A kernel did not become ready."""

    def __init__(self, language: str, why: str) -> None:
        super().__init__(f"the {language} kernel did not start: {why}")


class WorkingFolderUnusable(KernelFailed):
    """The folder that a kernel or a shell was to start in cannot be used."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"cwd: expected a folder that exists or can be made, {path!r} is not: {why}")


class CommandFailed(ExecdError):
    """A command that somebody waits for could not be started."""


class CommandTimedOut(CommandFailed):
    """A command that somebody waits for was still running when its time was over."""


class SandboxFailed(ExecdError):
    """A sandbox could not be made, paused or copied."""

    def __init__(self, sandbox_id: str, what: str, why: str) -> None:
        super().__init__(f"sandbox {sandbox_id!r} could not be {what}: {why}")


class TerminalStartFailed(ExecdError):
    """No shell could be started in the terminal."""

    def __init__(self, terminal_id: str, why: str) -> None:
        super().__init__(f"the shell of terminal {terminal_id!r} did not start: {why}")


class PortUnreachable(ExecdError):
    """Nothing answers at the port, or not as it should."""

    def __init__(self, port: int, why: str) -> None:
        super().__init__(f"nothing usable answers at port {port}: {why}")


class StorageFull(ExecdError):
    """The disk that keeps journals has no room."""

    def __init__(self, why: str) -> None:
        super().__init__(f"no room to keep this execution's output: {why}; free some disk space and try again")


class FileDoesNotFit(StorageFull):
    """There is no room for a file where it was to go."""

    def __init__(self, path: str, why: str) -> None:
        ExecdError.__init__(self, f"no room for {path!r}: {why}; free some disk space and try again")


class StoreUnusable(StorageFull):
    """The database cannot be read or written, and it is not for want of room."""

    def __init__(self, why: str) -> None:
        ExecdError.__init__(self, f"the store cannot be used: {why}; GET /ready tells when it can again")


class ScopeMissing(ExecdError):
    """The key is good, but not for this."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"this key lacks the scope {scope!r}; `execd keys create --scope` makes one that has it")


class CannotServe(ExecdError):
    """The service cannot start as it is configured; the message says what to change."""


class FolderInUse(CannotServe):
    """Another service already works in the data folder."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"another execd already uses {folder}; stop it, or name another folder by EXECD_DATA_DIR")


class ShuttingDown(ExecdError):
    """The service is about to end and takes no new work."""

    def __init__(self) -> None:
        super().__init__("the service is shutting down; try again in a moment")
