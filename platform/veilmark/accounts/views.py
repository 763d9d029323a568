from django.contrib.auth.views import LoginView, LogoutView


class SignInView(LoginView):
    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True


class SignOutView(LogoutView):
    """POST only, so that no foreign page signs a person out."""
