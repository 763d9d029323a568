"""People. One person, one account (45 CFR 164.312(a)(2)(i)): nobody shares."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models


class Role(models.TextChoices):
    CUSTODIAN = "custodian", "Custodian"
    COMPLIANCE_OFFICER = "compliance_officer", "Compliance officer"
    CLINICIAN = "clinician", "Clinician"
    RESEARCHER = "researcher", "Researcher"
    OPERATOR = "operator", "Operator"


class User(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    role = models.CharField(max_length=32, choices=Role.choices)
    display_name = models.CharField(max_length=200)
    reauthenticated_at = models.DateTimeField(null=True, editable=False)

    REQUIRED_FIELDS = ["role", "display_name"]

    class Meta:
        ordering = ["username"]

    def __str__(self) -> str:
        return self.display_name or self.username
