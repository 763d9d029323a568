"""One release published for real: marked, signed, asked for, downloaded and verified with the `veilmark` command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings

from veilmark.access.models import GrantCopy
from veilmark.access.services import agreement_accept, request_create, request_decide
from veilmark.client.settings import SignIn, save_sign_in

N = 80  # images: the bound of the rate of marks found passes the profile's limit from 72 on


@pytest.fixture
def synthetic_set(synthetic_set):
    """The set of the other tests, with images written and marked as a job writes them."""
    from veilmark.core.storage import file_store
    from veilmark.provenance.digests import ImageMetadata
    from veilmark.provenance.prepared import prepare_images
    from veilmark.synthetic_sets.final_files import n_marks_found
    from veilmark.synthetic_sets.selectors import set_folder

    name = synthetic_set.public_id
    rng = np.random.default_rng(0)
    images = np.kron(rng.integers(40, 200, (N, 16, 16)), np.ones((1, 4, 4))) + rng.integers(0, 40, (N, 64, 64))
    prepared = prepare_images(
        set_folder(synthetic_set),
        images=images.astype(np.uint8),
        metadata=[ImageMetadata(release_id=name, image_id=f"{name}-{row:06d}", label="normal") for row in range(N)],
        mark_release=synthetic_set.serial,
        created_at="2026-11-21T09:30:00Z",
    )
    synthetic_set.content_root = prepared.merkle_root
    synthetic_set.n_images, synthetic_set.n_mark_detected = N, n_marks_found(prepared)
    synthetic_set.save()
    synthetic_set.audit_runs.update(content_root=prepared.merkle_root)
    page = f"audit_runs/{synthetic_set.audit_runs.get().pk}/publishable.html"
    key = bytes(synthetic_set.training_run.cohort.wrapped_key)
    file_store().put(page, b"<!doctype html><title>report</title>", wrapped_key=key)
    return synthetic_set


@pytest.fixture
def published(approved, run_jobs):
    from veilmark.jobs.models import Job

    Job.objects.exclude(task="releases:publish").delete()
    run_jobs()
    approved.refresh_from_db()
    assert approved.state == "released", approved.job.error
    return approved


def veilmark(*arguments):
    """The command as a shell runs it: exit code, standard output, standard error."""
    environment = os.environ | {"PYTHONPATH": "platform:."}
    command = [sys.executable, "-m", "veilmark.client", *arguments]
    root = Path(__file__).resolve().parents[3]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, check=False, timeout=60)


@pytest.mark.django_db(transaction=True)
@pytest.mark.database
def test_a_published_release_is_downloaded_and_is_authentic(live_server, people, published, run_jobs, tmp_path):
    from veilmark.accounts.services import api_token_create

    agreement_accept(acting_user=people.researcher)
    asked = request_create(release=published, purpose="research", project="x", acting_user=people.researcher)
    request_decide(request=asked, approve=True, reason="a permitted purpose", acting_user=people.officer)
    run_jobs()
    copy = GrantCopy.objects.get()
    assert copy.is_ready, copy.error
    token = api_token_create(user=people.researcher)
    save_sign_in(SignIn(server=live_server.url, username="researcher", token=token))
    root = settings.VEILMARK_VAR / "trust-root.json"
    done = veilmark("download", "chest-1", "--out", str(tmp_path), "--trust-root", str(root), "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["digest"] == copy.bundle_digest != published.bundle_digest
    assert answer["verification"]["grant_id"] == str(copy.public_id)
    zipped = tmp_path / "chest-1.zip"
    assert veilmark("verify", str(zipped), "--trust-root", str(root)).returncode == 0
    assert veilmark("verify", str(zipped)).returncode == 15


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["status"], "nobody is signed in", id="not signed in"),
        pytest.param(["login", "http://example.org", "-u", "ada"], "no https address", id="plain http"),
        pytest.param(["download", "chest-1"], "--out", id="a missing option"),
        pytest.param(["download", "chest-1", "--out", ".", "--trust-root", "none.json"], "none.json", id="no root"),
        pytest.param(["fetch"], "fetch", id="no such command"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_2(arguments, words):
    done = veilmark(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
