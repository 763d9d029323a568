from django.urls import path

from veilmark.decisions import views

app_name = "decisions"
urlpatterns = [
    path("", views.decision_list, name="list"),
    path("<uuid:pk>/", views.decision_detail, name="detail"),
]
