"""A test double of OpenSandbox's lifecycle server: what its SDKs ask before they talk to execd.

Its sandboxes are records and nothing else: the execd of each is one and the same running service.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

EXECD_PORT = 44772


class LifecycleDouble:
    """Answers for any number of sandboxes. Every endpoint asked for is `execd`, to be called with `headers`."""

    def __init__(self, execd: str, headers: Mapping[str, str] | None = None) -> None:
        self._endpoints = {EXECD_PORT: {"endpoint": execd, "headers": dict(headers or {})}}
        self._sandboxes: dict[str, dict[str, Any]] = {}

    def app(self) -> Starlette:
        """The application, at the paths that the SDKs use."""
        one = "/v1/sandboxes/{sandbox_id}"
        return Starlette(
            routes=[
                Route("/v1/sandboxes", self._create, methods=["POST"]),
                Route(one, self._get, methods=["GET"]),
                Route(one, self._delete, methods=["DELETE"]),
                Route(one + "/endpoints/{port:int}", self._endpoint, methods=["GET"]),
                Route(one + "/renew-expiration", self._renew, methods=["POST"]),
                Route("/v1/metrics/events", self._note_metrics, methods=["POST"]),
            ],
            exception_handlers={KeyError: _not_found},
        )

    async def _create(self, request: Request) -> Response:
        asked = await request.json()
        now = datetime.now(UTC)
        sandbox = {
            "id": f"sandbox-{len(self._sandboxes) + 1}",
            "status": {"state": "Running"},
            "createdAt": now.isoformat(),
            "expiresAt": (now + timedelta(seconds=asked["timeout"])).isoformat(),
            "entrypoint": asked["entrypoint"],
            "image": asked["image"],
        }
        self._sandboxes[sandbox["id"]] = sandbox
        return JSONResponse({name: value for name, value in sandbox.items() if name != "image"}, 202)

    async def _get(self, request: Request) -> Response:
        return JSONResponse(self._sandbox(request))

    async def _delete(self, request: Request) -> Response:
        self._sandbox(request)["status"] = {"state": "Terminated"}
        return Response(status_code=204)

    async def _endpoint(self, request: Request) -> Response:
        self._sandbox(request)
        # The SDKs look up the egress proxy's port too, and then never call it.
        return JSONResponse(self._endpoints.get(request.path_params["port"], {"endpoint": "127.0.0.1:1"}))

    async def _renew(self, request: Request) -> Response:
        expiry = {"expiresAt": (await request.json())["expiresAt"]}
        self._sandbox(request).update(expiry)
        return JSONResponse(expiry)

    async def _note_metrics(self, request: Request) -> Response:
        return Response(status_code=204)

    def _sandbox(self, request: Request) -> dict[str, Any]:
        return self._sandboxes[request.path_params["sandbox_id"]]


async def _not_found(request: Request, error: Exception) -> Response:
    return JSONResponse({"code": "DOCKER::SANDBOX_NOT_FOUND", "message": f"no sandbox {error}"}, 404)
