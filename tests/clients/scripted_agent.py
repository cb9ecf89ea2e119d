"""An agent that needs no model: it plots, fails, reads why, repairs its code, and fetches what it has drawn. All that
it knows of the machine it knows from the answers of MCP tools."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field

from mcp.client.client import Client
from mcp_types import BlobResourceContents, CallToolResult, ImageContent, ResourceLink

from tests.clients.mcp_clients import text_of

_DATA = "month,sold\njan,3\nfeb,4\nmar,8\n"
_DRAFT = """
import pandas as pd
import matplotlib.pyplot as plt
table = pd.read_csv('sales.csv')
plt.bar(table['month'], table['sales'])
plt.title('Sales')
plt.savefig('sales.png')
plt.show()
"""


@dataclass
class Agent:
    """One, with what it has come to know."""

    client: Client
    context: str
    seen: list[str] = field(default_factory=list)
    drawing: bytes = b""
    saved: bytes = b""

    async def work(self) -> None:
        """Do the whole job."""
        tools = {tool.name for tool in (await self.client.list_tools()).tools}
        assert {"write_file", "run_code", "list_artifacts"} <= tools
        await self.client.call_tool("write_file", {"path": "sales.csv", "content": _DATA})
        code = _DRAFT
        answer = await self.run(code)
        while answer.is_error:
            code = self.repaired(code, text_of(answer))
            answer = await self.run(code)
        (image,) = [block for block in answer.content if isinstance(block, ImageContent)]
        self.drawing = base64.b64decode(image.data)
        link = next(block for block in answer.content if isinstance(block, ResourceLink) and block.name == "sales.png")
        (content,) = (await self.client.read_resource(str(link.uri))).contents
        assert isinstance(content, BlobResourceContents)
        self.saved = base64.b64decode(content.blob)

    async def run(self, code: str) -> CallToolResult:
        """Run code, and remember what came of it."""
        answer = await self.client.call_tool("run_code", {"code": code, "context": self.context})
        self.seen.append(text_of(answer))
        return answer

    def repaired(self, code: str, said: str) -> str:
        """What a model would make of an error: the column that is not there is another one's name."""
        missing = re.search(r"KeyError: '(\w+)'", said)
        assert missing is not None, said
        columns = _DATA.partition("\n")[0].split(",")
        (meant,) = [column for column in columns if column[:2] == missing[1][:2]] or [columns[-1]]
        return code.replace(f"'{missing[1]}'", f"'{meant}'")
