"""The tools: what each is called, takes, answers and does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from execd.service.caller import Scope
from execd.wire.mcp import arguments, artifacts, contexts, describing, files, programs, running, structured
from execd.wire.mcp.call import Call
from execd.wire.mcp.describing import Facts
from execd.wire.mcp.reply import Reply

Does = Callable[[Call, Any], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Tool:
    """One. `describe` makes its description. What only reads `scope` says; `destroys` that something may be gone
    afterwards, `again` that doing it twice is as good as once, `reaches_out` that code runs, wherever that reaches."""

    name: str
    title: str
    describe: Callable[[Facts], str]
    takes: type[BaseModel]
    answers: type[structured.Structured]
    does: Does
    scope: Scope = Scope.RUN
    destroys: bool = False
    again: bool = False
    reaches_out: bool = False


def _said(text: str) -> Callable[[Facts], str]:
    return lambda _facts: text


def _in_workspace(text: str) -> Callable[[Facts], str]:
    return lambda facts: text.format(workspace=facts.workspace)


TOOLS = (
    Tool(
        "run_code",
        "Run code",
        describing.run_code,
        arguments.RunCode,
        structured.RunShown,
        running.run_code,
        destroys=True,
        reaches_out=True,
    ),
    Tool(
        "get_execution",
        "Look at an execution",
        _said(
            "How an execution stands and what it has brought forth so far, as run_code would answer; with `wait` it "
            "waits for the end. With `from_line` it shows what was printed from that line on, however much it is. Use "
            "it after an answer said that something goes on, or after a call got no answer."
        ),
        arguments.GetExecution,
        structured.RunShown,
        running.get_execution,
        scope=Scope.READ,
    ),
    Tool(
        "interrupt",
        "Interrupt what runs",
        _said(
            "Stop an execution, or what runs in a context now; answers when it has ended, and whether the context has "
            "its variables still, which it nearly always has."
        ),
        arguments.Interrupt,
        structured.InterruptShown,
        running.interrupt,
        destroys=True,
        again=True,
    ),
    Tool(
        "create_context",
        "Make a context",
        _said(
            "Make a context: a kernel with variables of its own, apart from the shared one. run_code with a new name "
            "makes one, too."
        ),
        arguments.CreateContext,
        structured.ContextsShown,
        contexts.create_context,
    ),
    Tool(
        "list_contexts",
        "List contexts",
        _said("The contexts that there are: their ids, names, languages, and whether they are busy."),
        arguments.ListContexts,
        structured.ContextsShown,
        contexts.list_contexts,
        scope=Scope.READ,
    ),
    Tool(
        "delete_context",
        "Delete a context",
        _said("End a context, with its variables and what runs in it. Files stay."),
        arguments.OneContext,
        structured.ContextsShown,
        contexts.delete_context,
        destroys=True,
    ),
    Tool(
        "restart_context",
        "Restart a context",
        _said("Give a context a new kernel: its variables are lost, what runs in it is stopped. Files stay."),
        arguments.OneContext,
        structured.ContextsShown,
        contexts.restart_context,
        destroys=True,
    ),
    Tool(
        "run_command",
        "Run a shell command",
        describing.run_command,
        arguments.RunCommand,
        structured.RunShown,
        running.run_command,
        destroys=True,
        reaches_out=True,
    ),
    Tool(
        "read_file",
        "Read a file",
        _in_workspace(
            "Lines of a text file, or an image, to look at. Relative paths are below {workspace}. What is neither, "
            "download_file gives."
        ),
        arguments.ReadFile,
        structured.FileRead,
        files.read_file,
        scope=Scope.READ,
    ),
    Tool(
        "write_file",
        "Write a file",
        _in_workspace(
            "Write a whole file, over what is there; missing folders are made. Relative paths are below {workspace}, "
            "where files stay."
        ),
        arguments.WriteFile,
        structured.FileWritten,
        files.write_file,
        destroys=True,
        again=True,
    ),
    Tool(
        "list_files",
        "List a folder",
        _in_workspace("What is in a folder: {workspace}, if none is named."),
        arguments.ListFiles,
        structured.FilesShown,
        files.list_files,
        scope=Scope.READ,
    ),
    Tool(
        "search_files",
        "Find files by name",
        _in_workspace(
            "The files whose name fits a pattern, at any depth below a folder: {workspace}, if none is named."
        ),
        arguments.SearchFiles,
        structured.FilesShown,
        files.search_files,
        scope=Scope.READ,
    ),
    Tool(
        "download_file",
        "Get a file's link",
        _said("A link to a whole file of any kind, for people and programs: a URL that is good for an hour."),
        arguments.DownloadFile,
        structured.FileLink,
        files.download_file,
        scope=Scope.READ,
    ),
    Tool(
        "list_artifacts",
        "List artifacts",
        _said("The files and figures that runs have made, the newest first, each with links to its content."),
        arguments.ListArtifacts,
        structured.ArtifactsShown,
        artifacts.list_artifacts,
        scope=Scope.READ,
    ),
    Tool(
        "sandbox_execute",
        "Run a program once",
        describing.sandbox_execute,
        programs.SandboxExecute,
        structured.ProgramShown,
        programs.sandbox_execute,
        destroys=True,
        reaches_out=True,
    ),
    Tool(
        "files_download",
        "Get the link of a thread's file",
        _said("A URL by which a file of a thread of sandbox_execute can be fetched for an hour."),
        programs.FilesDownload,
        structured.SignedShown,
        programs.files_download,
        scope=Scope.READ,
    ),
)
