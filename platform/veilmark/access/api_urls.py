from django.urls import path
from rest_framework.routers import SimpleRouter

from veilmark.access.api import AccessRequestViewSet, AgreementView, GrantViewSet, LeakView

router = SimpleRouter()
router.register("requests", AccessRequestViewSet, basename="api_requests")
router.register("grants", GrantViewSet, basename="api_grants")
urlpatterns = [
    path("agreement/", AgreementView.as_view(), name="api_agreement"),
    path("leaks/", LeakView.as_view(), name="api_leaks"),
    *router.urls,
]
