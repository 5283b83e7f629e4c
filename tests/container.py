"""`make container`: build deploy/Containerfile as a clean checkout would be built, start it, and use it.

Needs root, Debian's buildah, and debootstrap where no registry has the base image: then the base is Debian 12
with its Python 3.11 under the name of the image that is asked for. Steps and server run in a chroot, which
has the image's files, user and environment; a container's own namespaces, its read-only root and its dropped
capabilities are not tried here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from kg.terms import ROOT
from tests.peers import free_port

FILE = ROOT / "deploy" / "Containerfile"
IMAGE = "stroma-tried"
SECONDS = 60  # until the server is ready
# How this machine reaches its registries, for the steps that install: mounted, so in no layer.
_OURS = (
    "/etc/pip.conf",
    "/etc/npmrc",
    "/etc/ssl/certs",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
)
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


class Buildah:
    """buildah with its storage in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._command = ["buildah", "--root", str(folder / "storage"), "--runroot", str(folder / "run"),
                         "--storage-driver", "vfs"]  # fmt: skip

    def __call__(self, *words: str | Path, timeout: float = 1800) -> str:
        """Run to its end; raises SystemExit with the last lines of what went wrong."""
        done = subprocess.run(self.line(*words), capture_output=True, text=True, timeout=timeout)
        if done.returncode:
            raise SystemExit(f"buildah {words[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")
        return done.stdout.strip()

    def line(self, *words: str | Path) -> list[str]:
        """The command for these words."""
        return [*self._command, *map(str, words)]


def checkout(folder: Path) -> Path:
    """The files of this checkout that git knows, and no others, in a folder."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in names.decode().split("\0"):
        if name and (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
    return folder


def base(buildah: Buildah, name: str, folder: Path) -> str:
    """The base image, pulled, or made of Debian's packages; says which."""
    if subprocess.run(buildah.line("pull", name), capture_output=True, timeout=120).returncode == 0:
        return name
    if shutil.which("debootstrap") is None:
        raise SystemExit(f"{name} cannot be pulled, and debootstrap is missing; apt-get install debootstrap")
    root = folder / "base" / "root"
    packages = "python3,python3-venv,ca-certificates"
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(root)],
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    if made.returncode:
        raise SystemExit(f"debootstrap failed:\n{made.stdout[-2000:]}")
    (root / "usr/bin/python").symlink_to("python3")
    (folder / "base" / "Containerfile").write_text("FROM scratch\nCOPY root /\n", encoding="utf-8")
    buildah("build", "--isolation=chroot", "-t", name, "-f", folder / "base/Containerfile", folder / "base")
    shutil.rmtree(root)
    version = buildah(
        "run", "--isolation=chroot", buildah("from", "--pull=never", name), "--", "python", "-V"
    )
    return f"Debian 12 with {version}, as {name}"


def build(buildah: Buildah, context: Path) -> dict[str, Any]:
    """Build the image; what it says of itself."""
    settings = context.parent / "npmrc"
    settings.write_text(f"cafile={_CERTIFICATES}\n", encoding="utf-8")
    mounts = [f"--volume={path}:{path}:ro" for path in _OURS if Path(path).exists()]
    buildah(
        "build", "--isolation=chroot", "--network=host", "--format=docker", "--pull=never", *mounts,
        f"--volume={settings}:/root/.npmrc:ro", "-t", IMAGE, "-f", context / "deploy/Containerfile", context,
    )  # fmt: skip
    told: dict[str, Any] = json.loads(buildah("inspect", "--type=image", IMAGE))["Docker"]["config"]
    return told


@contextmanager
def started(buildah: Buildah, container: str, told: Mapping[str, Any], port: int) -> Iterator[str]:
    """The server as the image says to start it, on a port; it has to end well at the image's signal."""
    line = buildah.line(
        "run", "--isolation=chroot", "--network=host", f"--user={told['User']}", f"--env=PORT={port}",
        container, "--", *told["Entrypoint"], *told["Cmd"],
    )  # fmt: skip
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(SECONDS * 5):
                time.sleep(0.2)
                try:
                    if httpx.get(f"{address}/health/ready").status_code == 200:
                        break
                except httpx.TransportError:
                    assert server.poll() is None, "the server ended before it was ready"
            else:
                raise AssertionError(f"the server is not ready after {SECONDS} s")
            yield address
        finally:
            os.kill(listener(port), getattr(signal, told["StopSignal"]))
        assert server.wait(60) == 0, f"it ended with {server.returncode}"


def listener(port: int) -> int:
    """The process that listens at a port."""
    told = subprocess.run(
        ["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"pid=(\d+)", told)
    assert found is not None, f"nothing listens at {port}"
    return int(found[1])


def inside(buildah: Buildah, container: str, user: str, command: Sequence[str]) -> int:
    """How a command ends that the image's user runs in it."""
    line = buildah.line(
        "run", "--isolation=chroot", "--network=host", f"--user={user}", container, "--", *command
    )
    return subprocess.run(line, capture_output=True, timeout=60).returncode


def main() -> int:
    """Build, start, use; says what was tried, and raises where something is not so."""
    if os.getuid() or not shutil.which("buildah"):
        print("needs root and buildah (Debian: apt-get install buildah)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        buildah = Buildah(folder)
        names = set(re.findall(r"(?m)^FROM (\S+)", FILE.read_text(encoding="utf-8")))
        for name in names:
            print("base:", base(buildah, name, folder), flush=True)
        told = build(buildah, checkout(folder / "checkout"))
        print("built; it runs as", told["User"], flush=True)
        container = buildah("from", "--pull=never", IMAGE)
        user = told["User"]
        for path in ("/opt/stroma/x", "/opt/stroma/graph/x", "/opt/stroma/.venv/x", "/etc/x"):
            assert inside(buildah, container, user, ["touch", path]), f"its user can write {path}"
        assert inside(buildah, container, user, ["test", "!", "-e", "/opt/stroma/client"]) == 0
        print("its user writes nowhere in it", flush=True)
        port = free_port()
        with started(buildah, container, told, port) as address:
            health = told["Healthcheck"]["Test"]
            assert health[0] == "CMD"
            check = [word.replace(":8000/", f":{port}/") for word in health[1:]]
            assert inside(buildah, container, user, check) == 0, "its health check fails"
            asked = httpx.get(f"{address}/sparql", params={"query": "ASK { ?s a ?c }", "format": "json"})
            assert asked.json()["boolean"] is True
            page = httpx.get(f"{address}/editor", headers={"Accept": "text/html"}).text
            assert re.search(r"/static/editor\.\w+\.js", page), "the editor's script is not in it"
            locks = httpx.get(f"{address}/about", headers={"Accept": "text/html"}).text
            assert "<td>seccomp</td>" in locks, "workers are not kept from the network"
        assert inside(buildah, container, user, check), "its health check is content with no server"
        print("it answers, checks its health, locks its workers, has its scripts, and ends well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
