"""Requests that mean harm, of every kind and many at once, beside ordinary ones: `make hostile` in small."""

from __future__ import annotations

from pathlib import Path

from bench.clients import run
from bench.hostile import ATTACKS, Ordinary, siege
from kg.snapshot import Snapshot, load_store
from tests.peers import whole_site


def test_no_attack_ends_the_server_or_spoils_an_ordinary_answer(embedded: Snapshot, tmp_path: Path) -> None:
    ordinary = Ordinary.of(load_store(embedded))
    log = tmp_path / "log"
    with whole_site(embedded, cache_bytes=0, log=str(log)) as url:
        told = run(
            lambda: siege(f"{url}/sparql", ordinary, count=150, quiet=1, patience=0.7)  # each waits no longer
        )
    assert {how.partition(":")[0] for how in told["ended"]} == set(ATTACKS)
    assert sum(told["ended"].values()) == 150
    assert told["server"]["alive"]
    assert "keeper" not in told["server"]["replaced"]
    assert told["ordinary"]["under attack"] > 50
    assert told["ordinary"]["wrong"] == {}
    assert told["outbound"] == []
    assert told["came to the trap"] == 0
    assert told["server"]["memory after"] < 1.5
    # Nothing of it was an error of ours.
    assert '"level": "error"' not in log.read_text()
