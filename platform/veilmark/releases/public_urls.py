from django.urls import path

from veilmark.releases import public_files

app_name = "public"
urlpatterns = [
    path("log/<path:name>", public_files.log_file, name="log"),
    path("trust/<path:name>", public_files.trust_file, name="trust"),
]
