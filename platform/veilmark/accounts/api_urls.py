from django.urls import path

from veilmark.accounts.api import MeView, TokenView

urlpatterns = [
    path("tokens/", TokenView.as_view(), name="api_tokens"),
    path("me/", MeView.as_view(), name="api_me"),
]
