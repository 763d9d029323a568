from rest_framework.routers import SimpleRouter

from veilmark.synthetic_sets.api import SyntheticSetViewSet

router = SimpleRouter()
router.register("synthetic-sets", SyntheticSetViewSet, basename="api_synthetic_sets")
urlpatterns = router.urls
