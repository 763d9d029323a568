from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from veilmark.accounts.permissions import require, signed_in
from veilmark.jobs.models import Job


@login_required
@require_safe
def progress(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """The fragment `jobs/progress.html`, for whoever asked for the job and for those who may see all jobs."""
    job = get_object_or_404(Job, id=job_id)
    if job.created_by_id != signed_in(request).pk:
        require(signed_in(request), "jobs:view")
    response = render(request, "jobs/progress.html", {"job": job})
    if job.is_finished:
        response["HX-Refresh"] = "true"  # what the job made belongs on the whole page
    return response
