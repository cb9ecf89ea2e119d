"""URLs that webhooks may be sent to: https, with http only where the service allows it, and to a host by whose name no
other is meant. Where that leads to is checked when it is connected to (webhook_sender).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from yarl import URL

from execd.errors import InvalidRequest
from execd.service.egress_addresses import own_addresses
from execd.service.egress_policy import BadHost, Destination, EgressRefused, Policy
from execd.settings import Settings

LONGEST = 2048
SETTING = "EXECD_WEBHOOK_ALLOW_PRIVATE"

_PLAIN = re.compile(r"[!-~]+\Z")


@dataclass(frozen=True, slots=True)
class UrlRules:
    """Which URLs may be: of which schemes, and leading where."""

    schemes: tuple[str, ...]
    policy: Policy

    @classmethod
    def of(cls, settings: Settings) -> UrlRules:
        """Those of a service. Raises CannotServe for a rule that cannot be understood."""
        schemes = ("https", "http") if settings.webhook_allow_http else ("https",)
        return cls(schemes, Policy.parse(settings.webhook_allow_private, settings.port, SETTING, "webhook"))

    def check(self, given: str, field: str) -> str:
        """The URL. Raises InvalidRequest, which names the field. A name is not looked up; an address is checked."""
        try:
            return self._checked(given)
        except (ValueError, BadHost, EgressRefused) as error:
            expected = " or ".join(f"{scheme}://" for scheme in self.schemes)
            raise InvalidRequest(
                f"expected an {expected} URL in ASCII of at most {LONGEST} characters: {error}", field
            ) from None

    def _checked(self, given: str) -> str:
        if len(given) > LONGEST:
            raise ValueError(f"it has {len(given)}")
        if not _PLAIN.match(given):
            raise ValueError("it has others, which are to be percent-encoded")
        url = URL(given)
        if url.scheme not in self.schemes or not url.raw_host:
            raise ValueError(f"it begins with {given[:12]!r}")
        if url.raw_user is not None or url.raw_password is not None:
            raise ValueError("it has a user or a password in it")
        wanted = Destination.parse(url.raw_host, str(url.port))
        if not isinstance(wanted.host, str):
            self.policy.check_address(wanted, wanted.host, own_addresses())
        return given


def host_of(url: str) -> str:
    """The host and port that a URL is about, as one name."""
    parsed = URL(url)
    return f"{(parsed.raw_host or '').lower().removesuffix('.')}:{parsed.port}"
