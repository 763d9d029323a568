from django.urls import path

from veilmark.reader_studies import views

app_name = "reader_studies"
urlpatterns = [
    path("", views.study_list, name="list"),
    path("new/<uuid:set_pk>/", views.study_open, name="open"),
    path("<uuid:pk>/", views.study_detail, name="detail"),
    path("<uuid:pk>/read/", views.study_read, name="read"),
    path("images/<uuid:pk>.png", views.item_image, name="image"),
]
