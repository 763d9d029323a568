from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from veilmark.core.transparency import log_folder
from veilmark.provenance.errors import FileError
from veilmark.provenance.log.reader import HEAD_NAME, LogFolder


@require_safe
def healthz(_: HttpRequest) -> JsonResponse:
    """200 where the database answers. For load balancers, so without sign-in and without details."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def log_checkpoint(_: HttpRequest) -> HttpResponse:
    """The log's last checkpoint (c2sp.org/tlog-tiles), for whoever keeps it to check a bundle against: no sign-in.

    It says how many entries there are and nothing of what they say; the tiles stay in `var/log`.
    """
    try:
        note = LogFolder(log_folder()).read(HEAD_NAME)
    except FileError as error:
        raise Http404(error.what) from error
    return HttpResponse(note, content_type="text/plain; charset=utf-8")
