"""Opening a blinded study, recording readings, serving its images without a word of what they are."""

from __future__ import annotations

import io
import secrets

import numpy as np
from django.db import IntegrityError, transaction
from PIL import Image

from generators.tables import resize_images
from veilmark.accounts.models import User
from veilmark.accounts.permissions import require
from veilmark.cohorts.selectors import cohort_images
from veilmark.core.errors import ApplicationError, NotAllowedError, StateError
from veilmark.ledger.services import event_append
from veilmark.provenance.embedded.visible_label import VisibleLabel
from veilmark.reader_studies.models import ReaderItem, ReaderStudy, Reading
from veilmark.synthetic_sets.final_files import as_8_bit, read_final_image, white_of
from veilmark.synthetic_sets.models import SyntheticSet

MAX_ITEMS = 400


@transaction.atomic
def reader_study_open(*, synthetic_set: SyntheticSet, n_items: int, acting_user: User) -> ReaderStudy:
    """A study of `n_items` images, half of them real images of the holdout, in an order nobody can foresee."""
    require(acting_user, "reading:create")
    if synthetic_set.training_run.cohort.custodian_id != acting_user.pk:
        raise NotAllowedError("belongs to another custodian", where=str(synthetic_set), remedy="ask its custodian")
    if not synthetic_set.is_done:
        raise StateError(f"is {synthetic_set.state}", where=str(synthetic_set), remedy="wait until it is done")
    if synthetic_set.visible_label == VisibleLabel.BURNED_IN:
        remedy = "open it on a set without the label in its pixels"
        raise StateError("shows the word SYNTHETIC in its images", where=str(synthetic_set), remedy=remedy)
    holdout = _holdout_rows(synthetic_set)
    most = 2 * min(len(holdout), synthetic_set.n_images, MAX_ITEMS // 2)
    if not 2 <= n_items <= most or n_items % 2:
        raise ApplicationError(f"is {n_items}", where="number of images", remedy=f"choose an even number up to {most}")
    study = ReaderStudy.objects.create(synthetic_set=synthetic_set, opened_by=acting_user)
    rng = secrets.SystemRandom()
    items = [(True, row) for row in rng.sample(range(synthetic_set.n_images), n_items // 2)]
    items += [(False, row) for row in rng.sample(holdout, n_items // 2)]
    rng.shuffle(items)
    ReaderItem.objects.bulk_create(
        ReaderItem(study=study, position=position, is_synthetic=is_synthetic, source_index=row)
        for position, (is_synthetic, row) in enumerate(items)
    )
    event_append(kind="reader_study:opened", actor=acting_user, subject=study, payload={"n_items": n_items})
    return study


def _holdout_rows(synthetic_set: SyntheticSet) -> list[int]:
    split = cohort_images(synthetic_set.training_run.cohort).split
    return [] if split is None else [int(row) for row in np.flatnonzero(split == "holdout")]


@transaction.atomic
def reading_record(*, item: ReaderItem, judged_synthetic: bool, realism: int, acting_user: User) -> Reading:
    """One judgement, given once. Raises NotAllowedError, ApplicationError."""
    require(acting_user, "reading:record")
    if not 1 <= realism <= 5:
        raise ApplicationError(f"is {realism}", where="realism", remedy="choose 1 (not at all) to 5 (fully)")
    try:
        with transaction.atomic():
            reading = Reading.objects.create(
                item=item, reader=acting_user, judged_synthetic=judged_synthetic, realism=realism
            )
    except IntegrityError as error:
        raise ApplicationError("was judged already", where="image", remedy="go on to the next") from error
    event_append(kind="reading:recorded", actor=acting_user, subject=reading, payload={"study": str(item.study_id)})
    return reading


def item_png(item: ReaderItem) -> bytes:
    """The item's pixels as a bare 8-bit PNG: synthetic or real, the file says nothing else."""
    synthetic_set = item.study.synthetic_set
    if item.is_synthetic:
        # Readers judge the image blinded, without the strip that may name it below.
        pixels = read_final_image(synthetic_set, item.source_index)[: synthetic_set.training_run.image_size]
        white = white_of(synthetic_set)
    else:
        training = synthetic_set.training_run
        one = resize_images(cohort_images(training.cohort).select(np.array([item.source_index])), training.image_size)
        pixels, white = one.images[0], one.max_value
    buffer = io.BytesIO()
    Image.fromarray(as_8_bit(pixels, white=white)).save(buffer, format="PNG")
    return buffer.getvalue()
