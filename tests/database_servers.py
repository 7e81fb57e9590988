"""Real PostgreSQL and MariaDB servers of this machine for tests, on Unix sockets in a folder of their own.

`from database_servers import SERVERS` in any test. Nothing listens on a port. As root, each runs as the user that its
Debian package made.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

START_SECONDS = 120


class DatabaseServer:
    """A server with an empty folder of data; `user` is whom it runs as if the tests run as root."""

    name: str
    user: str
    programs: tuple[str, ...]

    def __init__(self) -> None:
        for program in self.programs:
            if self._program(program) is None:
                pytest.skip(f"{self.name} is not installed here: no {program}")
        self.as_user = {}
        if os.geteuid() == 0:
            try:
                account = pwd.getpwnam(self.user)
            except KeyError:
                pytest.skip(f"{self.name} refuses to run as root, and there is no user {self.user}")
            self.as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        # Not beneath pytest's folder: it is closed to other users, and a socket's path must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="pm"))
        if self.as_user:
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.process: subprocess.Popen[bytes] | None = None
        self.databases = 0
        try:
            self._do(self.initialise())
            self.start()
        except (subprocess.SubprocessError, OSError, TimeoutError) as error:
            self.close()
            pytest.skip(f"{self.name} does not start here: {error}")

    @staticmethod
    def _program(name: str) -> str | None:
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
        newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
        return shutil.which(name, path=os.pathsep.join([path, *map(str, newest)]))

    def initialise(self) -> list[str]:
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def url(self, database: str) -> str:
        raise NotImplementedError

    def socket(self) -> Path:
        raise NotImplementedError

    def fresh(self) -> str:
        """URL of a new, empty database."""
        self.databases += 1
        name = f"profiles{self.databases}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, statement: str, database: str = "") -> None:
        engine = create_engine(self.url(database or self.first), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))

    first: str

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.as_user
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.socket().exists() and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        while True:
            try:
                return self.execute("SELECT 1")
            except DBAPIError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log_end = (self.folder / "log").read_text(errors="replace")[-400:]
                    raise TimeoutError(f"{error.orig}; its log ends: {log_end}") from error
                time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(START_SECONDS)
            self.process = None

    def close(self) -> None:
        self.stop(signal.SIGKILL if self.name == "MariaDB" else signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _do(self, words: list[str]) -> None:
        done = subprocess.run(
            words, cwd=self.folder, capture_output=True, text=True, check=False, timeout=START_SECONDS, **self.as_user
        )
        if done.returncode:
            raise OSError(f"{words[0]}: {(done.stderr or done.stdout)[-400:]}")


class PostgreSQL(DatabaseServer):
    name = "PostgreSQL"
    user = "postgres"
    programs = ("initdb", "postgres")
    first = "postgres"

    def initialise(self) -> list[str]:
        how = ["--username=premodel", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        return [str(self._program("initdb")), "--pgdata", str(self.folder / "data"), *how]

    def command(self) -> list[str]:
        words = [str(self._program("postgres")), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        return [*words, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://premodel@/{database}?host={self.folder}"

    def socket(self) -> Path:
        return self.folder / ".s.PGSQL.5432"

    def stop(self, number: int = signal.SIGINT) -> None:  # SIGTERM would wait for the clients to leave
        super().stop(number)


class MariaDB(DatabaseServer):
    name = "MariaDB"
    user = "mysql"
    programs = ("mariadb-install-db", "mariadbd")
    first = "mysql"

    def initialise(self) -> list[str]:
        how = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]
        return [str(self._program("mariadb-install-db")), *how, f"--datadir={self.folder / 'data'}"]

    def command(self) -> list[str]:
        words = [str(self._program("mariadbd")), "--no-defaults", f"--datadir={self.folder / 'data'}"]
        # A character set and a mode that a careless administrator might have chosen.
        careless = ["--character-set-server=latin1", "--sql-mode="]
        small = ["--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=2", "--skip-networking"]
        return [*words, f"--socket={self.socket()}", f"--pid-file={self.folder / 'pid'}", *careless, *small]

    def url(self, database: str) -> str:
        return f"mariadb+pymysql://root@localhost/{database}?unix_socket={self.socket()}"

    def socket(self) -> Path:
        return self.folder / "s"


SERVERS = {"postgresql": PostgreSQL, "mariadb": MariaDB}
