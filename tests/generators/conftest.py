"""What several tests of generators share."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def few_images() -> Iterator[None]:
    """Small numbers where only quality hangs on them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("generators.detail.steps.N_CALIBRATION", 24)
        patch.setattr("generators.detail.steps.N_LENDERS", 100)
        patch.setattr("generators.public.images.N_PHANTOMS", 80)
        yield
