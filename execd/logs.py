"""Structured logs: one event a line, with the request's id, for people on a terminal and as JSON elsewhere."""

from __future__ import annotations

import logging
import sys

import structlog

from execd.settings import Settings

_FALSE_ALARMS = {
    # What uvicorn says of a WebSocket that was refused with an answer of our own.
    "ASGI callable returned without completing handshake.",
    # Why has been said in the line before it, or is by whoever ends the program.
    "Application startup failed. Exiting.",
}


def configure_logs(settings: Settings) -> None:
    """Send execd's and the libraries' logs to stderr in the form that the settings ask for. Called once, by the CLI."""
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not console:
        shared.append(structlog.processors.format_exc_info)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    _route_standard_logging(shared, renderer, level)


def _route_standard_logging(
    shared: list[structlog.typing.Processor], renderer: structlog.typing.Processor, level: int
) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_is_no_false_alarm)
    # Libraries only speak up when something is wrong; our own lines tell the rest.
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def _is_no_false_alarm(record: logging.LogRecord) -> bool:
    return record.msg not in _FALSE_ALARMS
