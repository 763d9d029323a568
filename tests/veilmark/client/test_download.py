"""The researcher's whole path over a real server: sign in, accept, request, download, resume, check."""

import json

import pytest
from typer.testing import CliRunner

from veilmark.access.models import AccessRequest, Download
from veilmark.access.services import request_decide
from veilmark.client.api import VeilmarkClient
from veilmark.client.cli import app
from veilmark.client.errors import ClientError, RefusedError
from veilmark.ledger.models import Event

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


class CutError(Exception):
    """Somebody pulled the plug."""


@pytest.fixture
def veilmark():
    """`veilmark("search", "--json")`: the command's answer; where it failed, the error that it ended with."""

    def run(*arguments, typed=""):
        result = CliRunner().invoke(app, [*arguments, "--json"], input=typed)
        if result.exception:
            raise result.exception
        return json.loads(result.stdout)

    return run


@pytest.fixture
def researcher(live_server, people):
    with VeilmarkClient(live_server.url) as client:
        client.sign_in("researcher", people.password)
        yield client


@pytest.fixture
def approve(people, finish_copies):
    """An officer says yes, and a worker has prepared the researcher's copy."""

    def decide():
        request = AccessRequest.objects.get(state="submitted")
        request_decide(request=request, approve=True, reason="a permitted purpose", acting_user=people.officer)
        finish_copies()

    return decide


def test_the_commands_lead_from_sign_in_to_a_checked_zip(
    veilmark, live_server, people, released, bundle_bytes, tmp_path, config, approve
):
    login = ("login", live_server.url, "--username", "researcher", "--password-stdin")
    assert veilmark(*login, typed=f"{people.password}\n")["username"] == "researcher"
    assert (config / "sign-in.json").stat().st_mode & 0o777 == 0o600
    (found,) = veilmark("search", "chest")["releases"]
    assert (found["name"], found["n_images"], found["privacy"]["epsilon"]) == ("chest-1", 400, 4.0)
    assert veilmark("search", "brain")["releases"] == []
    assert veilmark("accept", "--yes")["accepted"]
    asked = veilmark("request", "chest-1", "--purpose", "research", "--project", "a classifier")
    assert asked["state"] == "submitted"
    approve()
    status = veilmark("status")
    assert (status["requests"][0]["state"], status["grants"][0]["is_open"]) == ("approved", True)
    done = veilmark("download", "chest-1", "--out", str(tmp_path / "data"))
    assert done["digest"] == released.bundle_digest
    assert (tmp_path / "data" / "chest-1.zip").read_bytes() == bundle_bytes
    veilmark("logout")
    assert not (config / "sign-in.json").exists()
    with pytest.raises(ClientError, match="nobody is signed in"):
        veilmark("status")


def test_a_download_that_was_cut_goes_on_where_it_stopped(researcher, grant, bundle_bytes, tmp_path):
    half = len(bundle_bytes) // 2

    def pull_the_plug(done, total):
        if done > half:
            raise CutError

    with pytest.raises(CutError):
        researcher.download("chest-1", tmp_path, progress=pull_the_plug)
    assert not (tmp_path / "chest-1.zip").exists()
    (partial,) = tmp_path.glob(".chest-1.zip.*.part")
    n_kept = partial.stat().st_size
    assert half < n_kept < len(bundle_bytes)
    seen = []
    done = researcher.download("chest-1", tmp_path, progress=lambda *state: seen.append(state))
    assert done.path.read_bytes() == bundle_bytes
    assert done.n_fetched == len(bundle_bytes) - n_kept
    assert seen[-1] == (len(bundle_bytes), len(bundle_bytes))
    assert not partial.exists()
    rows = Download.objects.order_by("created_at").values_list("first_byte", flat=True)
    assert list(rows) == [0, n_kept]


def test_a_file_that_is_there_is_not_fetched_again(researcher, grant, tmp_path):
    researcher.download("chest-1", tmp_path)
    assert researcher.download("chest-1", tmp_path).n_fetched == 0
    assert Download.objects.count() == 1


def test_another_file_of_that_name_is_left_alone(researcher, grant, tmp_path):
    (tmp_path / "chest-1.zip").write_bytes(b"mine")
    with pytest.raises(ClientError, match="another file has this name"):
        researcher.download("chest-1", tmp_path)
    assert (tmp_path / "chest-1.zip").read_bytes() == b"mine"


def test_a_refusal_of_the_server_arrives_in_its_words(researcher, released, tmp_path):
    with pytest.raises(RefusedError, match="the agreement is not accepted; accept it first") as refused:
        researcher.request("chest-1", purpose="research", project="a classifier")
    assert refused.value.status == 403
    with pytest.raises(ClientError, match="no open grant"):
        researcher.download("chest-1", tmp_path)
    assert list(tmp_path.glob("*.zip")) == []


def test_signing_out_ends_the_token_at_the_server(researcher, people):
    token = researcher._http.headers["Authorization"].split()[1]
    researcher.sign_out()
    with VeilmarkClient(researcher.server, token=token) as stolen, pytest.raises(RefusedError) as refused:
        stolen.agreement()
    assert refused.value.status == 401
    assert "veilmark login" in refused.value.remedy
    assert Event.objects.filter(kind="person:signed_out", actor=people.researcher).exists()


def test_a_wrong_password_leaves_nothing_behind(veilmark, live_server, people, config):
    with pytest.raises(RefusedError, match="not accepted"):
        veilmark("login", live_server.url, "-u", "researcher", "--password-stdin", typed="wrong\n")
    assert not config.exists()


def test_every_page_of_a_long_list_is_read(researcher, grant, people):
    from veilmark.access.services import request_create

    for number in range(51):
        request_create(
            release=grant.request.release, purpose="research", project=f"{number}", acting_user=people.researcher
        )
    assert len({row.id for row in researcher.requests()}) == 52
