"""The live progress bar of a job: a fragment that asks for itself every second until the job has ended."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from veilmark.jobs.models import Job


def progress_fragment(request: HttpRequest, job: Job | None) -> HttpResponse:
    """The bar as it stands. Once the job has ended, the whole page is asked to load anew with its results.

    `?seen=` is the last tens of percent that were read out: a screen reader hears each ten once, not every second.
    """
    tens = job.percent // 10 * 10 if job else 0
    context = {"job": job, "url": request.path, "tens": tens, "is_news": request.GET.get("seen") != str(tens)}
    response = render(request, "core/progress.html", context)
    if job is None or job.is_finished:
        response["HX-Refresh"] = "true"
    return response
