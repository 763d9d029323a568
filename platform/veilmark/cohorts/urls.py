from django.urls import path

from veilmark.cohorts import views

app_name = "cohorts"
urlpatterns = [
    path("", views.cohort_list, name="list"),
    path("new/", views.cohort_upload, name="upload"),
    path("contracts/<uuid:pk>/", views.contract, name="contract"),
]
