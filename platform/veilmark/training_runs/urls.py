from django.urls import path

from veilmark.training_runs import views

app_name = "training_runs"
urlpatterns = [
    path("", views.run_list, name="list"),
    path("new/<uuid:cohort_pk>/", views.run_start, name="start"),
    path("<uuid:pk>/", views.run_detail, name="detail"),
]
