"""Facts divided into parts: nothing lost, nothing twice, and with each thing all it leads to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from kg.facts import SHARES, TYPE, Edge, Part, Parts

# Names of which one is another's beginning: sorting lines and sorting names must be the same.
THINGS = st.sampled_from(
    [b"<urn:%s>" % name for name in (b"a", b"a/b", b"a!", b"ab", b"b", b"c", b"d", b"e")]
)
TYPES = st.tuples(THINGS, st.just(TYPE), st.sampled_from([b"<urn:Trial>", b"<urn:Arm>"]))
EDGES = st.tuples(THINGS, st.sampled_from([b"<urn:p>", b"<urn:q>"]), THINGS)
FACTS = st.sets(st.one_of(TYPES, EDGES), max_size=30)


@contextmanager
def parts_of(facts: set[Edge], at_once: int) -> Iterator[Parts]:
    with tempfile.TemporaryDirectory() as folder:
        yield Parts((b"%s %s %s\n" % fact for fact in facts), Path(folder), at_once)


def alone_in(parts: Parts) -> list[tuple[bytes, int]]:
    return [thing for share in range(SHARES) for thing in parts.alone(share)]


def all_of(parts: Parts) -> list[Part]:
    return [part for share in range(SHARES) for part in parts.parts(share)]


@settings(deadline=None)  # it writes files
@given(FACTS, st.integers(1, 5))
def test_every_fact_is_in_one_part_and_with_a_thing_goes_what_it_leads_to(
    facts: set[Edge], at_once: int
) -> None:
    edges = {fact for fact in facts if fact[1] != TYPE}
    types = {s: frozenset(o for t, p, o in facts if t == s and p == TYPE) for s, _, _ in facts}
    with parts_of(facts, at_once) as parts:
        alone, found = dict(alone_in(parts)), all_of(parts)

        assert len(alone) == len(alone_in(parts))
        assert {name: parts.profiles[n] for name, n in alone.items()} == {
            s: some for s, some in types.items() if s not in {s for s, _, _ in edges}
        }
        assert sorted(edges) == sorted(edge for part in found for edge in part.edges)
        assert sorted({s for s, _, _ in edges}) == sorted(name for part in found for name in part.things)
        for part in found:
            met = part.things | part.ends
            assert {name: parts.profiles[n] for name, n in met.items()} == {
                name: types.get(name, frozenset()) for name in met
            }
            assert {o for _, _, o in part.edges} <= met.keys()
            assert {s for s, _, _ in edges} & met.keys() == part.things.keys()


def test_a_part_has_room_for_so_many_things_and_no_more() -> None:
    facts = {(b"<urn:trial/%d>" % n, b"<urn:at>", b"<urn:city>") for n in range(10)}
    facts.add((b"<urn:city>", TYPE, b"<urn:City>"))
    with parts_of(facts, 4) as parts:
        found = all_of(parts)

        assert [len(part.things) for part in found] == [4, 4, 2]  # one city joins no trials
        assert [part.ends for part in found] == [{b"<urn:city>": 1}] * 3


def test_what_hangs_together_is_not_parted() -> None:
    facts = {(b"<urn:%d>" % n, b"<urn:next>", b"<urn:%d>" % ((n + 1) % 10)) for n in range(10)}
    with parts_of(facts, 3) as parts:
        assert [len(part.things) for part in all_of(parts)] == [10]
