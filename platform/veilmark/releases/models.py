"""A release: a synthetic set on its way out of the hospital, and the people who answered for it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from veilmark.audit_runs.models import AuditRun
from veilmark.core.models import BaseModel
from veilmark.decisions.models import Decision
from veilmark.jobs.models import Job
from veilmark.releases.states import ReleaseState
from veilmark.synthetic_sets.models import SyntheticSet


class Release(BaseModel):
    """The state moves only along `states.TRANSITIONS`; the digest that people endorse is the audited content root."""

    name = models.SlugField(max_length=100, unique=True)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    synthetic_set = models.ForeignKey(SyntheticSet, on_delete=models.PROTECT, related_name="releases")
    audit_run = models.ForeignKey(AuditRun, on_delete=models.PROTECT, null=True, related_name="releases")
    custodian = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="releases")
    profile = models.CharField(max_length=50)
    state = models.CharField(max_length=20, choices=ReleaseState.choices, default=ReleaseState.DRAFT)
    state_reason = models.TextField(blank=True)
    round = models.PositiveIntegerField(
        default=1, help_text="grows when the custodian reopens it: earlier votes are void"
    )
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, null=True, related_name="releases")
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, related_name="+")
    manifest_digest = models.CharField(max_length=71, blank=True)
    bundle_digest = models.CharField(max_length=71, blank=True, help_text="of the zip that is downloaded")
    signer_key_id = models.CharField(max_length=71, blank=True)
    published_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name


class Vote(models.TextChoices):
    APPROVE = "approve", "approve"
    RETURN = "return", "return to the custodian"
    REJECT = "reject", "reject"


class Review(BaseModel):
    """An officer's first, blind vote: nobody sees it before the other officer voted. `round` counts returns."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="reviews")
    officer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews")
    round = models.PositiveIntegerField(default=1)
    vote = models.CharField(max_length=10, choices=Vote.choices)
    reason = models.TextField()

    class Meta:
        ordering = ["created_at"]
        constraints = [models.UniqueConstraint(fields=["release", "officer", "round"], name="one_vote_per_round")]


class Endorsement(BaseModel):
    """An officer's signature under a digest: name, time and meaning (21 CFR 11.50), password entered anew (11.200)."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="endorsements")
    officer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="endorsements")
    round = models.PositiveIntegerField(default=1)
    digest = models.CharField(max_length=71)
    meaning = models.CharField(max_length=500)
    reauthenticated_at = models.DateTimeField()

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.UniqueConstraint(fields=["release", "officer", "round"], name="one_endorsement_per_round")
        ]


class Motion(BaseModel):
    """An officer's wish to revoke or reinstate a release. The second officer's motion to the same end carries it."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="motions")
    officer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    target = models.CharField(max_length=20, choices=ReleaseState.choices)
    reason = models.TextField()
    is_open = models.BooleanField(default=True)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["release", "officer", "target"], condition=models.Q(is_open=True), name="one_open_motion"
            )
        ]
