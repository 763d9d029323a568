from django.urls import path

from veilmark.jobs.views import progress

app_name = "jobs"
urlpatterns = [path("<uuid:job_id>/progress", progress, name="progress")]
