from django.urls import path

from veilmark.dashboards import operations, views

app_name = "dashboards"
urlpatterns = [
    path("", views.home, name="home"),
    path("cohorts/<uuid:pk>/", views.cohort_detail, name="cohort"),
    path("ledger/", operations.ledger, name="ledger"),
    path("jobs/", operations.jobs, name="jobs"),
    path("jobs/<uuid:pk>/cancel/", operations.cancel, name="cancel_job"),
    path("people/", operations.people, name="people"),
]
