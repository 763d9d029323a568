from rest_framework.routers import SimpleRouter

from veilmark.training_runs.api import TrainingRunViewSet

router = SimpleRouter()
router.register("training-runs", TrainingRunViewSet, basename="api_training_runs")
urlpatterns = router.urls
