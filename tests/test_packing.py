"""Files that are packed in threads are gzip that every reader understands, and always the same bytes."""

from __future__ import annotations

import gzip
import subprocess
import zlib
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg import packing
from kg.packing import Shared, packed


def write(path: Path, pieces: list[bytes]) -> bytes:
    with packed(path) as file:
        file.writelines(pieces)
    return path.read_bytes()


@given(st.lists(st.binary(max_size=300)), st.integers(1, 400))
def test_what_is_packed_comes_back_whatever_the_blocks(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "_BLOCK", block)
        whole = write(tmp_path_factory.mktemp("packed") / "file.gz", pieces)
    assert gzip.decompress(whole) == b"".join(pieces)


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=12),
    st.integers(1, 40),
)
def test_what_is_shared_comes_into_each_file_between_what_is_its_own(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[bool, bytes]], block: int
) -> None:
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "_BLOCK", block)
        with packed(folder / "one.gz") as one, packed(folder / "other.gz") as other:
            for shared, piece in pieces:
                if shared:
                    both = Shared((one, other))
                    both.write(piece)
                    both.write(piece)
                    both.end()
                else:
                    one.write(piece)
    found = [gzip.decompress((folder / name).read_bytes()) for name in ("one.gz", "other.gz")]
    assert found[0] == b"".join(2 * piece if shared else piece for shared, piece in pieces)
    assert found[1] == b"".join(2 * piece for shared, piece in pieces if shared)


def test_the_bytes_depend_on_nothing_but_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [b"%d %d\n" % (number, Random(number).getrandbits(60)) for number in range(200_000)]
    first = write(tmp_path / "lines.gz", lines)
    assert write(tmp_path / "other name.gz", [b"".join(lines)]) == first
    monkeypatch.setattr(packing, "_THREADS", 1)
    assert write(tmp_path / "alone.gz", lines) == first


def test_one_member_holds_it_all_for_readers_that_read_only_the_first(tmp_path: Path) -> None:
    content = Random(7).randbytes(3 << 20)
    file = tmp_path / "file.gz"
    reader = zlib.decompressobj(wbits=31)
    assert reader.decompress(write(file, [content])) == content
    assert reader.eof
    assert reader.unused_data == b""
    assert subprocess.run(["gzip", "-dc", str(file)], capture_output=True, check=True).stdout == content


def test_a_file_that_is_cut_is_no_whole_file(tmp_path: Path) -> None:
    whole = write(tmp_path / "file.gz", [Random(7).randbytes(3 << 20)])
    for size in (5, 1 << 20, len(whole) - 1):
        with pytest.raises(EOFError):
            gzip.decompress(whole[:size])
