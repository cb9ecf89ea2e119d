"""Records of sandboxes as JSON, and back."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from execd.service.egress_policy import Rule
from execd.service.record import Network, SandboxRecord

_RECORDS = TypeAdapter(SandboxRecord)


def record_to_json(record: SandboxRecord) -> dict[str, Any]:
    """What is saved of a record."""
    saved: dict[str, Any] = _RECORDS.dump_python(record, mode="json")
    return saved


def record_from_json(saved: Mapping[str, Any]) -> SandboxRecord:
    """The record that was saved. Raises ValueError for anything else."""
    record = _RECORDS.validate_python(saved)
    wanted = replace(record.wanted, network=_with_addresses(record.wanted.network))
    return replace(record, wanted=wanted, network=_with_addresses(record.network))


def _with_addresses(network: Network) -> Network:
    """The same, with the rules' networks as such: in JSON they are texts as names are."""
    if network.rules is None:
        return network
    rules = tuple((allows, _with_address(rule)) for allows, rule in network.rules.rules)
    return replace(network, rules=replace(network.rules, rules=rules))


def _with_address(rule: Rule) -> Rule:
    # No name has a slash.
    return replace(rule, host=ipaddress.ip_network(rule.host)) if "/" in str(rule.host) else rule
