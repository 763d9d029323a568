from django.urls import path

from veilmark.synthetic_sets import views

app_name = "synthetic_sets"
urlpatterns = [
    path("", views.set_list, name="list"),
    path("new/<uuid:run_pk>/", views.set_start, name="start"),
    path("<uuid:pk>/", views.set_detail, name="detail"),
    path("<uuid:pk>/preview.png", views.set_preview, name="preview"),
]
