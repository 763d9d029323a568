from rest_framework.routers import SimpleRouter

from veilmark.releases.api import ReleaseViewSet

router = SimpleRouter()
router.register("releases", ReleaseViewSet, basename="api_releases")
urlpatterns = router.urls
