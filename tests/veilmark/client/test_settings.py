"""Where a token may go, and where it may lie."""

import pytest

from veilmark.client.api import VeilmarkClient, checked_server
from veilmark.client.errors import ClientError
from veilmark.client.settings import SignIn, delete_sign_in, load_sign_in, save_sign_in

SIGN_IN = SignIn(server="https://veilmark.example.org", username="ada", token="a secret")


@pytest.mark.parametrize(
    "server",
    [
        pytest.param("http://veilmark.example.org", id="plain http"),
        pytest.param("http://localhost.example.org", id="a name that begins like this machine's"),
        pytest.param("http://127.0.0.1.example.org", id="a name that begins like an address"),
        pytest.param("http://localhost@example.org", id="another host behind a name"),
        pytest.param("ftp://localhost", id="another protocol"),
        pytest.param("veilmark.example.org", id="no protocol"),
        pytest.param("https://", id="no host"),
        pytest.param("https://ada:secret@example.org", id="a password"),
        pytest.param("https://example.org/?next=1", id="a query"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_token_goes_to_https_servers_and_to_this_machine_alone(server):
    with pytest.raises(ClientError) as refused:
        checked_server(server)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "server", ["https://example.org/", "http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"]
)
def test_servers_that_may_be_used(server):
    assert checked_server(server) == server.rstrip("/")


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "a?b", "\u00e4", "-/../-"])
def test_a_release_is_a_plain_name(name, tmp_path):
    with VeilmarkClient("https://example.org") as client, pytest.raises(ClientError):
        client.release(name)


def test_a_sign_in_comes_back_as_it_was_kept_and_others_cannot_read_it(config):
    save_sign_in(SIGN_IN)
    assert load_sign_in() == SIGN_IN
    assert (config / "sign-in.json").stat().st_mode & 0o777 == 0o600
    assert config.stat().st_mode & 0o777 == 0o700
    assert "secret" not in repr(SIGN_IN)
    delete_sign_in()
    delete_sign_in()
    assert list(config.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"server": "https://example.org"}'],
    ids=["empty", "cut", "a list", "bare", "half"],
)
def test_a_damaged_file_says_what_to_do(config, content):
    save_sign_in(SIGN_IN)
    (config / "sign-in.json").write_text(content)
    with pytest.raises(ClientError, match="veilmark login"):
        load_sign_in()


def test_a_file_that_others_can_read_is_refused(config):
    save_sign_in(SIGN_IN)
    (config / "sign-in.json").chmod(0o644)
    with pytest.raises(ClientError, match="can be read by others"):
        load_sign_in()


def test_a_folder_that_cannot_be_made_is_named(config, monkeypatch):
    config.write_text("in the way")
    with pytest.raises(ClientError, match="cannot be written"):
        save_sign_in(SIGN_IN)


def test_a_server_that_is_not_there_is_one_line():
    with VeilmarkClient("http://127.0.0.1:9") as client, pytest.raises(ClientError, match="cannot be reached"):
        client.agreement()
