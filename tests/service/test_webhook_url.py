"""URLs that webhooks may be sent to."""

from __future__ import annotations

import pytest

from execd.errors import CannotServe, InvalidRequest
from execd.service.webhook_url import UrlRules, host_of
from execd.settings import Settings

GOOD = (
    "https://example.com",
    "https://example.com/hook?a=b%20c&d",
    "https://EXAMPLE.com:8443/",
    "https://xn--bcher-kva.example/",
    "https://93.184.215.14/hook",
    "https://[2606:4700::1111]:8443/hook",
    "https://a_b.example./",
)
BAD = (
    "",
    "https://",
    "https:///hook",
    "example.com/hook",
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://good.example\\@bad.example/",
    "https://exa mple.com/",
    "https://example.com/a b",
    "https://example.com/\n",
    "https://b\u00fccher.example/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:port/",
    "https://h/" + "x" * 2040,
    # Not public, in every way to write it.
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[::]/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fd00:ec2::254]/",
    "https://[ff02::1]/",
)


@pytest.mark.parametrize("url", GOOD)
def test_good_ones(url: str) -> None:
    assert UrlRules.of(Settings()).check(url, "url") == url


@pytest.mark.parametrize("url", BAD)
def test_bad_ones(url: str) -> None:
    with pytest.raises(InvalidRequest, match="url: expected an https:// URL"):
        UrlRules.of(Settings()).check(url, "url")


def test_what_a_service_allows_besides() -> None:
    rules = UrlRules.of(
        Settings(webhook_allow_http=True, webhook_allow_private=["10.0.0.0/8", "127.0.0.1:8080", "169.254.169.254"])
    )
    for url in ("http://example.com/", "http://10.1.2.3/", "https://10.1.2.3/", "http://127.0.0.1:8080/"):
        assert rules.check(url, "url") == url
    for url in ("http://10.1.2.3:8080/", "http://127.0.0.1/", "http://192.168.1.1/", "ftp://10.1.2.3/"):
        with pytest.raises(InvalidRequest, match="https:// or http://"):
            rules.check(url, "url")


def test_the_service_itself_is_never_a_receiver() -> None:
    rules = UrlRules.of(Settings(port=8080, webhook_allow_http=True, webhook_allow_private=["127.0.0.1:8080"]))
    with pytest.raises(InvalidRequest, match="the service itself, which no webhook may reach"):
        rules.check("http://127.0.0.1:8080/", "url")


@pytest.mark.parametrize("rule", ["10.0.0.0/33", "http://10.0.0.1", "10.0.0.1:0", ""])
def test_rules_that_mean_nothing(rule: str) -> None:
    with pytest.raises(CannotServe, match="EXECD_WEBHOOK_ALLOW_PRIVATE"):
        UrlRules.of(Settings(webhook_allow_private=[rule]))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.com/a", "example.com:443"),
        ("http://example.com./", "example.com:80"),
        ("https://example.com:8443", "example.com:8443"),
        ("https://[2606:4700::1111]/", "2606:4700::1111:443"),
    ],
)
def test_whose_share_it_takes(url: str, host: str) -> None:
    assert host_of(url) == host
