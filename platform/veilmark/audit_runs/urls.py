from django.urls import path

from veilmark.audit_runs import views

app_name = "audit_runs"
urlpatterns = [
    path("", views.run_list, name="list"),
    path("new/<uuid:set_pk>/", views.run_start, name="start"),
    path("<uuid:pk>/", views.run_detail, name="detail"),
    path("<uuid:pk>/report/", views.run_report, name="report"),
]
