"""Start a throwaway PostgreSQL, run a command with `VEILMARK_DATABASE_URL` pointing at it, stop it.

PostgreSQL refuses to run as root, so under root the server runs as the system user `postgres`.
Without PostgreSQL the run is skipped with the install line; under CI=true that is a failure.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path


def find_binaries() -> Path | None:
    """The newest PostgreSQL's folder of programs, from Debian's layout or from PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return versions[-1].parent if versions else Path(on_path).parent if on_path else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def as_postgres(command: list[str]) -> None:
    """Run a PostgreSQL program, as the user postgres where we are root."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*prefix, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")


def main() -> int:
    binaries = find_binaries()
    if binaries is None:
        sys.stderr.write("skipped: PostgreSQL is not installed; apt-get install postgresql\n")
        return 1 if os.environ.get("CI") == "true" else 0
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="veilmark-pg-", dir="/tmp") as folder:  # socket paths must be short
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        data = f"{folder}/data"
        as_postgres([str(binaries / "initdb"), "-D", data, "-U", "veilmark", "-A", "trust", "-E", "UTF8"])
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        as_postgres([str(binaries / "pg_ctl"), "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start"])
        try:
            url = f"postgresql://veilmark@127.0.0.1:{port}/postgres"
            environment = {**os.environ, "VEILMARK_DATABASE_URL": url}
            return subprocess.run(sys.argv[1:], env=environment, check=False).returncode
        finally:
            as_postgres([str(binaries / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop"])


if __name__ == "__main__":
    sys.exit(main())
