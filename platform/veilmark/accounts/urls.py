from django.urls import path

from veilmark.accounts.views import SignInView, SignOutView

app_name = "accounts"
urlpatterns = [
    path("sign-in/", SignInView.as_view(), name="sign_in"),
    path("sign-out/", SignOutView.as_view(), name="sign_out"),
]
