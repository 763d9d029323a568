from django.urls import path

from veilmark.accounts.api import CurrentTokenView, MeView, TokenView

urlpatterns = [
    path("tokens/", TokenView.as_view(), name="api_tokens"),
    path("tokens/current/", CurrentTokenView.as_view(), name="api_current_token"),
    path("me/", MeView.as_view(), name="api_me"),
]
