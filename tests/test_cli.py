"""The command `kg`: results on stdout, everything else on stderr, and each error its exit code."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from kg.cli import common
from kg.handover import manifest_of
from kg.snapshot import Snapshot, current, publish, snapshot_of_files
from kg.terms import ROOT
from tests.peers import oxigraph

TURTLE = """
    @prefix stroma: <https://w3id.org/stroma/ontology/> .
    @prefix trial: <https://w3id.org/stroma/trial/> .
    trial:NCT01547091 stroma:enrollmentCount 172 .
    trial:NCT01663116 stroma:enrollmentCount 53 .
"""
COUNT = "SELECT ?trial ?n { ?trial <https://w3id.org/stroma/ontology/enrollmentCount> ?n } ORDER BY ?n"


def kg(var: Path, *arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kg", *arguments],
        cwd=ROOT, env={"KG_VAR": str(var), "PATH": os.environ["PATH"], **environ},
        input=stdin, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two trials are published."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "trials.ttl").write_text(TURTLE, encoding="utf-8")
    publish(snapshot_of_files([folder / "trials.ttl"], folder / "var"), folder / "var")
    return folder / "var"


def test_a_query_from_stdin_gives_rows_on_stdout_and_nothing_on_stderr(var: Path) -> None:
    done = kg(var, "query", "-", "--format", "csv", stdin=COUNT)
    trial = "https://w3id.org/stroma/trial/"
    assert done.stdout.splitlines() == ["trial,n", f"{trial}NCT01663116,53", f"{trial}NCT01547091,172"]
    assert (done.returncode, done.stderr) == (0, "")


def test_a_query_from_a_file_gives_each_format(var: Path, tmp_path: Path) -> None:
    file = tmp_path / "count.rq"
    file.write_text(COUNT, encoding="utf-8")
    rows = json.loads(kg(var, "query", str(file), "--format", "json").stdout)["results"]["bindings"]
    assert [row["n"]["value"] for row in rows] == ["53", "172"]
    assert kg(var, "query", str(file), "--format", "tsv").stdout.startswith("?trial\t?n\n")
    assert kg(var, "query", str(file), "--format", "xml").stdout.startswith("<?xml")
    file.write_text("CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o }", encoding="utf-8")
    triples = kg(var, "query", str(file), "--format", "nt").stdout.splitlines()
    assert len(triples) == 2
    assert "<https://w3id.org/stroma/trial/NCT01547091>" in kg(var, "query", str(file)).stdout


def test_a_question_is_asked_by_its_name_with_parameters(embedded: Snapshot) -> None:
    published = embedded.folder.parent.parent
    question = "registered-by-phase-and-status"
    asked = kg(published, "query", question, "--param", "condition=MONDO:0008383", "--format", "csv")
    assert asked.stdout == kg(published, "query", question, "--format", "csv").stdout
    assert asked.stdout.startswith("phase,status,")
    assert "NCT01547091" in asked.stdout


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "message"),
    [
        (("query", "registered-by-phase"), "", 2, "did you mean registered-by-phase-and-status"),
        (("query", "gone.rq"), "", 2, "gone.rq: there is no such file"),
        (("query", "/"), "", 2, "/: is a folder"),
        (("query", "-", "--format", "pdf"), COUNT, 2, "'pdf'"),
        (("query", "-", "--format", "turtle"), COUNT, 2, "turtle"),
        (("query", "-", "--param", "x=1"), COUNT, 2, "--param is for questions"),
        (("query", "doses-for-body-weight", "--param", "oops"), "", 2, "NAME=VALUE"),
        (("query", "-"), "SELECT ?s {\n ?s ?p }", 6, "line 2, column"),
        (("query", "-"), "SELECT * { SERVICE <http://x.org/> { ?s ?p ?o } }", 6, "SERVICE"),
        (("fetch", "pubmed"), "", 2, "cannot be downloaded; clinicaltrials can"),
        (("build", "--source", "ictrp"), "", 2, "SOURCE=FILE"),
        (("build", "--source", "pubmed=x.xml"), "", 2, "no source is called 'pubmed'; there are:"),
        (("build", "--source", "ictrp=gone.xml"), "", 2, "gone.xml: there is no such file"),
        (("build", "--version", "tomorrow"), "", 2, "tomorrow"),
        (("build", "--colour"), "", 2, "--colour"),
        (("serve", "--data", "gone.ttl"), "", 2, "gone.ttl: there is no such file"),
        (("verify", "--documents", "gone"), "", 2, "gone: there is no such folder"),
    ],
)
def test_each_error_is_one_line_with_its_exit_code(
    var: Path, arguments: tuple[str, ...], stdin: str, code: int, message: str
) -> None:
    done = kg(var, *arguments, stdin=stdin)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert code == done.returncode, done.stderr


def test_a_query_that_runs_too_long_is_given_up(var: Path) -> None:
    endless = f"SELECT (COUNT(*) AS ?n) {{ {' '.join(f'?a{i} ?b{i} ?c{i} .' for i in range(40))} }}"
    done = kg(var, "query", "-", "--timeout", "0.5", stdin=endless)
    assert (done.returncode, done.stdout) == (6, "")
    assert "0.5 seconds" in done.stderr


def test_without_a_graph_it_says_how_to_build_one(tmp_path: Path) -> None:
    for command in (("query", "-"), ("serve",), ("info",)):
        done = kg(tmp_path, *command, stdin=COUNT)
        assert (done.returncode, done.stdout) == (5, "")
        assert "kg build" in done.stderr


def test_a_damaged_snapshot_is_told_by_its_file(var: Path, tmp_path: Path) -> None:
    (tmp_path / "trials.ttl").write_text(TURTLE, encoding="utf-8")
    snapshot = snapshot_of_files([tmp_path / "trials.ttl"], tmp_path / "var")
    publish(snapshot, tmp_path / "var")
    snapshot.data.write_bytes(snapshot.data.read_bytes()[:-9])
    done = kg(tmp_path / "var", "query", "-", stdin=COUNT)
    assert done.returncode == 5
    assert "data.nq.gz" in done.stderr


def test_a_source_that_cannot_be_read_gives_its_exit_code_and_place(var: Path, tmp_path: Path) -> None:
    before = current(var)
    (tmp_path / "study.json").write_text('{"protocolSection": {', encoding="utf-8")
    done = kg(var, "build", "--source", f"clinicaltrials={tmp_path / 'study.json'}")
    assert done.returncode == 3
    assert done.stderr.startswith("kg: source clinicaltrials, file study.json")
    assert len(done.stderr.splitlines()) == 1
    assert before == current(var)


def test_info_tells_what_is_published(embedded: Snapshot) -> None:
    told = kg(embedded.folder.parent.parent, "info").stdout
    assert embedded.name in told
    assert "The three documents" in told
    manifest = json.loads(kg(embedded.folder.parent.parent, "info", "--json").stdout)
    assert manifest["hash"] == embedded.hash


def test_the_embedded_graph_holds_every_source(embedded: Snapshot) -> None:
    sources = {source["name"]: source for source in embedded.report["sources"]}
    assert {
        "clinicaltrials",
        "ictrp",
        "literature",
        "mappings",
        "nanopubs",
        "obo",
        "publications",
        "reviews",
    } == set(sources)
    assert {name: source["unread"] for name, source in sources.items() if source["unread"]} == {}
    assert sources["literature"]["quads"] > 974
    assert sources["clinicaltrials"]["quads"] > 17


def test_an_unchanged_build_says_so(embedded: Snapshot) -> None:
    done = kg(embedded.folder.parent.parent, "build")
    assert (0, f"unchanged: {embedded.name} is up to date\n") == (done.returncode, done.stdout)


def test_check_holds_for_the_embedded_graph(embedded: Snapshot) -> None:
    done = kg(embedded.folder.parent.parent, "check")
    assert {line[:4] for line in done.stdout.splitlines()} == {"ok  "}, done.stdout
    assert "coverage: 242 entities" in done.stdout
    assert "mappings: form, labels and verified ids hold" in done.stdout
    assert "shapes: " + embedded.name in done.stdout


def test_verify_holds_for_the_documents_and_sees_a_changed_character(
    var: Path, shared: Path, tmp_path: Path
) -> None:
    assert kg(var, "verify", "--documents", str(shared / "seeds")).returncode == 0
    for document in (shared / "seeds").glob("*"):
        if document.is_file():
            text = document.read_text(encoding="utf-8", errors="surrogateescape")
            (tmp_path / document.name).write_text(text[:400] + "#" + text[401:], "utf-8", "surrogateescape")
    done = kg(var, "verify", "--documents", str(tmp_path))
    assert done.returncode == 3
    assert "source literature" in done.stdout


def test_help_gives_an_example_of_each_verb_and_the_exit_codes(var: Path) -> None:
    told = kg(var, "--help").stdout
    assert "Exit codes:" in told
    assert "130  interrupted" in told
    for verb in ("build", "serve", "query", "check", "verify", "fetch", "info"):
        assert f"kg {verb}" in kg(var, verb, "--help").stdout.split("Examples:")[1], verb


def test_a_reader_that_goes_away_is_no_error(var: Path) -> None:
    numbers = " ".join(map(str, range(400)))  # 160,000 rows: more than a pipe holds
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m kg query - --format csv | head -c 3'],
        cwd=ROOT, env={"KG_VAR": str(var), "PATH": os.environ["PATH"]}, capture_output=True, text=True,
        input=f"SELECT * {{ VALUES ?a {{ {numbers} }} VALUES ?b {{ {numbers} }} }}",
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("a,b", "")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.skipif(shutil.which("curl") is None, reason="what it prints is a command of curl")
def test_serve_prints_an_address_and_a_curl_that_answers_and_stops_on_ctrl_c(var: Path) -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "kg", "serve", "--data", str(var.parent / "trials.ttl"), "--port", str(port)],
        cwd=ROOT, env={"KG_VAR": str(var)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(5)]
        assert told[0].endswith(f"(2 quads) at http://127.0.0.1:{port}\n")
        command = "".join(told[2:4]).removeprefix("Try:  ")
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        busy = kg(var, "serve", "--port", str(port))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert done.stdout.splitlines() == ["graph,quads", "https://w3id.org/stroma/graph/file/trials.ttl,2"]
    assert (busy.returncode, "PORT=" in busy.stderr) == (2, True)
    assert (process.returncode, errors) == (130, "")


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (
            "auto",
            r"Held in memory: 2 quads need about 0 MB, and [0-9,]+ MB \(half of .*\) can be had\n",
        ),
        ("disk", r"Held on disk: KG_ENGINE=disk says so\n"),
        ("memory", r"Held in memory: KG_ENGINE=memory says so\n"),
    ],
)
def test_serve_says_which_engine_was_chosen_and_why_as_the_page_about_does(
    var: Path, engine: str, said: str
) -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "kg", "serve", "--port", str(port)],
        cwd=ROOT, env={"KG_VAR": str(var), "KG_ENGINE": engine}, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        told = process.stdout.readline()
        about = httpx.get(f"http://127.0.0.1:{port}/about", headers={"Accept": "application/json"}).json()
        process.terminate()
    assert re.fullmatch(said, told)
    assert about["engine"]["holds"] == ("disk" if engine == "disk" else "memory")
    assert told.endswith(f": {about['engine']['why']}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "registered-by-phase-and-status"),
        ("ask", "registered-by-phase-and-status"),
        ("evidence", "claim:A255"),
        ("trial", "NCT03691909"),
        ("why", "product:prednisone", "a", "stroma:CautionedCoMedication"),
    ],
)
def test_each_verb_that_asks_the_graph_asks_the_engine_of_the_settings(
    arguments: tuple[str, ...], only_in_store: Snapshot, embedded: Snapshot
) -> None:
    on_disk = kg(only_in_store.folder.parent.parent, *arguments, KG_ENGINE="disk")
    assert (on_disk.returncode, on_disk.stderr) == (0, "")
    assert on_disk.stdout == kg(embedded.folder.parent.parent, *arguments).stdout != ""


def test_a_server_that_does_not_hold_the_graph_is_told_before_anything_is_asked(var: Path) -> None:
    done = kg(var, "query", "-", stdin=COUNT, KG_ENGINE="http://127.0.0.1:9/sparql")
    assert (done.returncode, done.stdout) == (5, "")
    assert "does not answer" in done.stderr


@pytest.fixture(scope="module")
def older(var: Path, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A snapshot like that of `var`, with another number and a trial less."""
    folder = tmp_path_factory.mktemp("older")
    file = folder / "trials.ttl"
    file.write_text(TURTLE.replace("172", "170").replace("trial:NCT01663116", "#"), encoding="utf-8")
    return snapshot_of_files([file], folder)


def test_diff_says_in_words_and_json_what_a_reader_gains(var: Path, older: Snapshot) -> None:
    words = kg(var, "diff", str(older.folder), "current")
    assert (words.returncode, words.stderr) == (0, "")
    assert "NCT01663116" in words.stdout
    assert re.search(r"170.*172", words.stdout, re.S)
    told = json.loads(kg(var, "diff", str(older.folder), "current", "--format", "json").stdout)
    assert {(each["iri"][-11:], each["change"]) for each in told["things"]} == {
        ("NCT01663116", "gained"),
        ("NCT01547091", "changed"),
    }
    assert "there are: text, json, patch" in kg(var, "diff", "current", "current", "--format", "csv").stderr
    assert "no snapshot is kept under that name" in kg(var, "diff", "1999-01-01", "current").stderr


@pytest.mark.parametrize("copy", ["snapshot", "file"])
def test_a_patch_makes_the_newer_graph_of_a_copy_of_the_older(
    copy: str, var: Path, older: Snapshot, tmp_path: Path
) -> None:
    file = tmp_path / "changes.rdfp"
    file.write_text(kg(var, "diff", str(older.folder), "current", "--format", "patch").stdout, "utf-8")
    made = kg(var, "patch", str(file), "--of", str(older.folder if copy == "snapshot" else older.data))
    newer = current(var)
    assert newer is not None
    assert (made.returncode, made.stderr) == (0, "")
    assert hashlib.sha256(made.stdout.encode()).hexdigest() == newer.hash


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        ("TC", 5, "ends before its commit"),
        ("H to", 5, "gives another graph than it says"),
        ("H from", 5, "is applied to another graph than it says"),
    ],
)
def test_a_patch_that_does_not_give_what_it_says_fails(
    spoil: str, code: int, said: str, var: Path, older: Snapshot, tmp_path: Path
) -> None:
    file = tmp_path / "changes.rdfp"
    patch = kg(var, "diff", str(older.folder), "current", "--format", "patch").stdout.splitlines(True)
    other = [f'{spoil} "{"0" * 64}" .\n'] if spoil[0] == "H" else []
    file.write_text("".join([*other, *(line for line in patch if not line.startswith(spoil))]), "utf-8")
    done = kg(var, "patch", str(file), "--of", str(older.folder))
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_export_writes_every_form_and_says_what_and_how_much(var: Path, tmp_path: Path) -> None:
    done = kg(var, "export", str(tmp_path / "over"), "--part", "1")
    assert (done.returncode, done.stderr) == (0, "")
    files = {file["name"]: file for file in manifest_of(tmp_path / "over")["files"]}
    told = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()}
    # Two quads in parts of one, after the part for blank nodes; two graph files and TriG; one predicate.
    assert told == {"nquads": "3", "graphs": "3", "jsonld": "1", "parquet": "1"}
    assert len(files) == 8
    again = kg(var, "export", str(tmp_path / "over"))
    assert (again.returncode, "is not empty; give a new folder" in again.stderr) == (2, True)


def test_an_exported_patch_is_applied_as_it_is(var: Path, older: Snapshot, tmp_path: Path) -> None:
    done = kg(var, "export", str(tmp_path / "over"), "--form", "patch", "--since", str(older.folder))
    assert (done.returncode, done.stderr) == (0, "")
    told = manifest_of(tmp_path / "over")
    (file,) = told["files"]
    made = kg(var, "patch", str(tmp_path / "over" / file["name"]), "--of", str(older.folder))
    assert (made.returncode, made.stderr) == (0, "")
    assert hashlib.sha256(made.stdout.encode()).hexdigest() == told["hash"]
    alone = kg(var, "export", str(tmp_path / "more"), "--form", "patch")
    assert (alone.returncode, "--form patch and --since SNAPSHOT go together" in alone.stderr) == (2, True)


def test_export_without_pyarrow_writes_the_rest_and_says_what_is_missing(var: Path, tmp_path: Path) -> None:
    # As where it is not installed: Python reads this file first.
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['pyarrow'] = None")
    done = kg(var, "export", str(tmp_path / "over"), PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith(
        "parquet   left out: it needs the package pyarrow (pip install"
    )
    asked = kg(var, "export", str(tmp_path / "more"), "--form", "parquet", PYTHONPATH=str(tmp_path))
    assert (asked.returncode, "pip install pyarrow" in asked.stderr) == (2, True)
    assert not (tmp_path / "more").exists()


def test_publish_puts_the_graph_on_another_server_from_which_kg_then_answers(var: Path) -> None:
    with oxigraph() as server:
        unheld = kg(var, "query", "-", stdin=COUNT, KG_ENGINE=server.query)
        first = kg(var, "publish", "--to", server.query, "--store", server.store)
        second = kg(var, "publish", "--to", server.query, "--store", server.store)
        asked = kg(var, "query", "-", "--format", "csv", stdin=COUNT, KG_ENGINE=server.query)
    assert (unheld.returncode, "it holds no snapshot of ours; publish to it" in unheld.stderr) == (5, True)
    assert (first.returncode, first.stderr) == (0, "")
    assert "1 of 1 graphs sent" in first.stdout
    assert "0 of 1 graphs sent" in second.stdout
    assert asked.stdout == kg(var, "query", "-", "--format", "csv", stdin=COUNT).stdout


def test_publish_tells_which_graph_is_there_and_how_many_quads_in_all(
    var: Path, tiny: Snapshot, tmp_path: Path
) -> None:
    own = (
        tmp_path / tiny.name
    )  # publishing makes the files for download, which other tests count on not being
    shutil.copytree(tiny.folder, own)
    with oxigraph() as server:
        options = ("--to", server.query, "--store", server.store, "--snapshot", str(own))
        told = kg(var, "publish", *options, TTY_COMPATIBLE="1", COLUMNS="200").stderr
    assert len(tiny.graphs) > 1
    assert f"publish, {max(tiny.graphs)} is there: {tiny.quads:,} quads" in told


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ((), 2, "give --store URL"),
        (("--store", "http://127.0.0.1:9/store", "--isql", "127.0.0.1:9"), 2, "give --store URL"),
        (("--isql", "127.0.0.1:9"), 2, "--isql needs --folder DIR"),
        (("--store", "http://127.0.0.1:9/store"), 7, "does not answer"),
    ],
)
def test_publish_says_what_is_missing(var: Path, options: tuple[str, ...], code: int, said: str) -> None:
    done = kg(var, "publish", "--to", "http://127.0.0.1:9/query", *options)
    assert (done.returncode, said in done.stderr, done.stderr.count("\n")) == (code, True, 1), done.stderr


def test_progress_on_a_terminal_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build forks others for its work, which a process that has threads must not."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    before = threading.active_count()
    with common.progress_shown() as bar:
        bar.step("load")
        bar.advance(1_000, 90.0)
        assert threading.active_count() == before


def test_progress_says_how_many_parts_were_kept_and_how_long_the_rest_takes() -> None:
    told: list[str] = []
    bar = common.Bar(told.append)
    bar.step("load")
    bar.advance(1_000)
    bar.advance(2_000, None, (1_900, 1_900))
    bar.advance(3_000, 180.0, (1_900, 2_000))
    assert told[1:] == [
        "load: 1,000 quads",
        "load: 2,000 quads, 1,900 of 1,900 parts kept",
        "load: 3,000 quads, 1,900 of 2,000 parts kept, about 3 min left",
    ]
