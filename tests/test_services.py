"""The list of endpoints that SERVICE may ask, and which machines are public."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg import services
from kg.engine import Limits
from kg.errors import UsageError
from kg.settings import Settings


def test_a_list_is_addresses_networks_behind_them_and_files_of_the_same(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.txt"
    file.write_text("# ours\nhttp://10.1.2.3:3030/ds 10.1.2.4\n\nhttps://a.example/sparql   # public\n")
    read = services.read(f"https://b.example/q?x=1 10.0.0.0/8 fd00::/8 {file}")
    assert services.networks(read) == {
        "https://b.example/q?x=1": ("10.0.0.0/8", "fd00::/8"),
        "http://10.1.2.3:3030/ds": ("10.1.2.4", "10.1.2.3"),
        "https://a.example/sparql": (),
    }
    settings = Settings.from_environ({"KG_SERVICES": f"{file}"})
    assert Limits.of(settings).services == {"http://10.1.2.3:3030/ds", "https://a.example/sparql"}
    assert Settings.from_environ({}).services == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0.0/8 https://a.example/", "10.0.0.0/8 stands before any endpoint"),
        ("https://user:secret@a.example/", "holds a name or a password"),
        ("https://a.example/#part", "is no address of an endpoint"),
        ("https://ä.example/", "ASCII"),
        ("http:///sparql", "is no address of an endpoint"),
        ("http://a.example:99999999/", "is no address of an endpoint"),
        ("https://a.example/<x>", "is no address of an endpoint"),
        ("/there/is/no/such/file", "cannot be read as a file"),
        ("https://a.example/ 10.0.0.1/8", "cannot be read as a file"),  # bits beyond the network's
    ],
)
def test_an_entry_that_does_not_fit_is_told_with_what_it_should_be(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as problem:
        Settings.from_environ({"KG_SERVICES": text})
    assert "secret" not in str(problem.value)


def test_a_bad_line_of_a_file_is_named_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("https://a.example/sparql\n\nftp://b.example/\n")
    with pytest.raises(UsageError, match=rf"{file}, line 3: 'ftp://b.example/' is neither"):
        services.read(str(file))


def test_an_entry_of_the_settings_is_checked_as_one_of_the_environment() -> None:
    with pytest.raises(UsageError, match="no network"):
        Settings(services=("https://a.example/ nowhere",))


def test_a_graph_on_another_server_is_not_federated_from_here() -> None:
    with pytest.raises(UsageError, match="Leave one of the two out"):
        Settings(services=("https://a.example/sparql",), engine="http://127.0.0.1:7878")


PUBLIC = ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
# The last ones carry an IPv4 address that is not public, to which they are translated on the way.
NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::",
    "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1",
    "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1", "2002:a00:1::1",
    "2001:0:7f00:1::1", "192.0.0.8", "192.0.0.170", "192.88.99.1", "64:ff9b:1::7f00:1", "::ffff:192.0.0.8",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_machine_may_be_asked(address: str) -> None:
    assert services.may_ask(address, ())


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_machine_that_is_not_public_may_be_asked_only_where_it_is_listed(address: str) -> None:
    assert not services.may_ask(address, ())
    assert not services.may_ask(address, ("203.0.113.7", "2001:db8:1::/48"))
    bare = address.partition("%")[0]
    assert services.may_ask(address, ("203.0.113.7", bare))


@given(st.ip_addresses(v=4))
def test_no_way_to_write_an_address_in_ipv6_makes_it_public(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for written in (
        ipaddress.IPv6Address(0xFFFF << 32 | number),
        ipaddress.IPv6Address(0x64_FF9B << 96 | number),
        ipaddress.IPv6Address(0x2002 << 112 | number << 80 | 1),
    ):
        assert services.may_ask(str(written), ()) <= services.may_ask(str(address), ())
