"""Calls the tools of OpenSandbox's MCP server through the official client. Runs in that client's environment.

`python mcp_calls.py PROGRAM DOMAIN` reads lines of JSON, `[tool, arguments]`, and answers each with a line: the tool's
structured result, or `{"error": text}`. The first line that it writes is the list of the tools' names.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import anyio
from mcp import Client, StdioServerParameters, stdio_client  # type: ignore[import-not-found,unused-ignore]


async def main(program: str, domain: str) -> None:
    """Answer every line of standard input."""
    server = StdioServerParameters(command=program, args=["--domain", domain])
    async with Client(stdio_client(server)) as client:
        tell(sorted(tool.name for tool in (await client.list_tools()).tools))
        async for line in anyio.wrap_file(sys.stdin):
            tool, arguments = json.loads(line)
            result = await client.call_tool(tool, arguments)
            said = [block.text for block in result.content if block.type == "text"]
            tell({"error": said[0]} if result.is_error else result.structured_content)


def tell(answer: Any) -> None:
    """One line of JSON, at once."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
