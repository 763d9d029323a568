"""Access: who may download which release, for what, until when, and what they took."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from veilmark.core.models import BaseModel
from veilmark.jobs.work import Work
from veilmark.releases.models import Release


class RequestState(models.TextChoices):
    SUBMITTED = "submitted", "submitted"
    RETURNED = "returned", "returned"
    APPROVED = "approved", "approved"
    REJECTED = "rejected", "rejected"
    EXPIRED = "expired", "expired"
    REVOKED = "revoked", "revoked"


class AgreementAcceptance(BaseModel):
    """A researcher accepted the agreement whose text has this digest."""

    researcher = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="agreements")
    version = models.CharField(max_length=20)
    text_digest = models.CharField(max_length=71)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["researcher", "version"], name="agreement_accepted_once")]


class AccessRequest(BaseModel):
    """A researcher asks for a release, for one purpose."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="requests")
    researcher = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="requests")
    purpose = models.CharField(max_length=100)
    project = models.TextField(help_text="what the data are for, in the researcher's words")
    state = models.CharField(max_length=20, choices=RequestState.choices, default=RequestState.SUBMITTED)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at"]


class Grant(BaseModel):
    """Leave to download one release until a date."""

    request = models.OneToOneField(AccessRequest, on_delete=models.PROTECT, related_name="grant")
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]


class GrantCopy(Work):
    """The release as this grant's researcher gets it. The row stays when the file is deleted: it names the recipient.

    `public_id` is what the copy and the log say of the grant, and what the copy's layer is drawn for.
    """

    grant = models.OneToOneField(Grant, on_delete=models.PROTECT, related_name="copy")
    public_id = models.UUIDField(default=uuid.uuid4, editable=False, unique=True)
    manifest_digest = models.CharField(max_length=71, blank=True)
    bundle_digest = models.CharField(max_length=71, blank=True, help_text="of the zip; empty while there is none")

    class Meta:
        ordering = ["-created_at"]

    @property
    def is_ready(self) -> bool:
        """Whether there is a zip to download."""
        return self.is_done and self.bundle_digest != ""


class Download(BaseModel):
    """Bytes that left through a grant. A resumed download has a row a request."""

    grant = models.ForeignKey(Grant, on_delete=models.PROTECT, related_name="downloads")
    first_byte = models.BigIntegerField()
    last_byte = models.BigIntegerField()
    n_total = models.BigIntegerField()
    bundle_digest = models.CharField(max_length=71)

    class Meta:
        ordering = ["-created_at"]
