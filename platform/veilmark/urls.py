"""Every address of the site."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from veilmark.core.views import healthz

API_APPS = (
    "cohorts",
    "training_runs",
    "synthetic_sets",
    "audit_runs",
    "decisions",
    "releases",
    "access",
    "jobs",
    "ledger",
)
PAGE_APPS = {
    "cohorts/": "cohorts",
    "training-runs/": "training_runs",
    "synthetic-sets/": "synthetic_sets",
    "audit-runs/": "audit_runs",
    "reader-studies/": "reader_studies",
    "decisions/": "decisions",
    "releases/": "releases",
    "access/": "access",
    "": "dashboards",
}

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("", include("veilmark.releases.public_urls")),
    path("accounts/", include("veilmark.accounts.urls")),
    path("jobs/", include("veilmark.jobs.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/", include("veilmark.accounts.api_urls")),
    path("api/v1/", include([path("", include(f"veilmark.{app}.api_urls")) for app in API_APPS])),
    *(path(prefix, include(f"veilmark.{app}.urls")) for prefix, app in PAGE_APPS.items()),
]
