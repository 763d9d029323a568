from django.urls import path

from veilmark.releases import views

app_name = "releases"
urlpatterns = [
    path("", views.release_list, name="list"),
    path("new/<uuid:set_pk>/", views.release_draft, name="create"),
    path("<uuid:pk>/", views.release_detail, name="detail"),
    path("<uuid:pk>/<slug:slug>/", views.release_act, name="act"),
]
