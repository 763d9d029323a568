"""Settings come from the environment alone; production refuses to start without what protects people."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from veilmark.settings import environment
from veilmark.settings.database import database, jobs_url

ROOT = Path(__file__).resolve().parents[3]
COMPLETE = {
    "VEILMARK_SECRET_KEY": "k" * 60,
    "VEILMARK_PASSPHRASE": "a passphrase",
    "VEILMARK_ALLOWED_HOSTS": "veilmark.hospital.example",
    "VEILMARK_DATABASE_URL": "postgresql://veilmark:p%40ss@db.example:5433/veilmark",
}


def load(module: str, var: Path, variables: dict[str, str], show: str = "") -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VEILMARK_")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "platform")])
    code = f"import veilmark.settings.{module} as s; {show}"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "PYTHONPATH": path, "VEILMARK_VAR": str(var), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("missing", sorted(COMPLETE))
def test_production_refuses_to_start_without(missing, tmp_path):
    result = load("production", tmp_path, {name: value for name, value in COMPLETE.items() if name != missing})
    assert result.returncode != 0
    assert f"{missing}: is not set" in result.stderr


def test_production_starts_when_complete_and_is_strict(tmp_path):
    show = (
        "assert not s.DEBUG and s.SESSION_COOKIE_SECURE and s.CSRF_COOKIE_SECURE and s.SECURE_SSL_REDIRECT;"
        "assert s.SECURE_HSTS_SECONDS >= 31536000 and s.ALLOWED_HOSTS == ['veilmark.hospital.example'];"
        "d = s.DATABASES['default']; assert (d['PASSWORD'], d['PORT'], d['HOST']) == ('p@ss', '5433', 'db.example');"
        "assert 'pool' in d['OPTIONS']"
    )
    result = load("production", tmp_path, COMPLETE, show)
    assert result.returncode == 0, result.stderr
    assert not list(tmp_path.iterdir())


def test_the_embedded_secret_is_made_once_for_its_owner_alone(tmp_path):
    shown = [load("embedded", tmp_path, {}, "print(s.SECRET_KEY)") for _ in range(2)]
    assert shown[0].stdout == shown[1].stdout
    assert len(shown[0].stdout.strip()) >= 50
    path = tmp_path / "keys" / "secret_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_processes_that_start_together_share_one_secret(tmp_path):
    with ThreadPool(8) as pool:
        secrets = pool.map(lambda _: environment.secret_file(tmp_path / "keys" / "secret"), range(32))
    assert len(set(secrets)) == 1


def test_no_analytics(tmp_path):
    result = load("embedded", tmp_path, {}, "import os; print(os.environ['GX_ANALYTICS_ENABLED'])")
    assert result.stdout.strip() == "false"


def test_one_setting_switches_the_database(tmp_path):
    assert database("", tmp_path)["ENGINE"].endswith("sqlite3")
    assert database("", tmp_path)["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert database("postgresql://u@h/n", tmp_path)["ENGINE"].endswith("postgresql")
    assert jobs_url("", tmp_path) == f"sqlite:///{tmp_path}/jobs.sqlite3"


@pytest.mark.parametrize("url", ["mysql://u@h/n", "postgresql://h", "postgresql://h/", "nonsense"])
def test_an_address_that_is_no_postgresql_is_refused(url, tmp_path):
    with pytest.raises(ImproperlyConfigured, match="VEILMARK_DATABASE_URL"):
        database(url, tmp_path)


def test_a_flag_is_yes_or_no(monkeypatch):
    monkeypatch.setenv("VEILMARK_DEBUG", "perhaps")
    with pytest.raises(ImproperlyConfigured, match="set yes or no"):
        environment.flag("VEILMARK_DEBUG")
