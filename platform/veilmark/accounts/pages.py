"""Who may open a page: signed in, with a role that may do what the page is for, and never from a cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from veilmark.accounts.models import User
from veilmark.accounts.permissions import require, signed_in

P = ParamSpec("P")
READ = ("GET", "HEAD")
FORM = ("GET", "HEAD", "POST")
CHANGE = ("POST",)


class SignedInRequest(HttpRequest):
    user: User


View = Callable[Concatenate[SignedInRequest, P], HttpResponseBase]
OpenView = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def page(action: str = "", *, methods: tuple[str, ...] = READ) -> Callable[[View[P]], OpenView[P]]:
    """A view for signed-in people who may do `action` (a key of ACTIONS; empty: everyone signed in)."""

    def decorate(view: View[P]) -> OpenView[P]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            user = signed_in(request)
            if action:
                require(user, action)
            return view(cast("SignedInRequest", request), *args, **kwargs)

        return cast("OpenView[P]", never_cache(require_http_methods(list(methods))(login_required(guarded))))

    return decorate
