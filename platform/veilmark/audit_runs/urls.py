from django.urls import path

from veilmark.audit_runs import copy_views, views

app_name = "audit_runs"
urlpatterns = [
    path("", views.run_list, name="list"),
    path("new/<uuid:set_pk>/", views.run_start, name="start"),
    path("<uuid:pk>/", views.run_detail, name="detail"),
    path("<uuid:pk>/report/", views.run_report, name="report"),
    path("<uuid:pk>/copies/", copy_views.pair_list, name="copies"),
    path("<uuid:pk>/copies/<int:number>/", copy_views.pair_detail, name="pair"),
    path("<uuid:pk>/copies/<int:number>.png", copy_views.pair_image, name="pair_image"),
]
