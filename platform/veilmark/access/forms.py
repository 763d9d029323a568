"""What researchers ask and officers answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from veilmark.access.services import MAX_GRANT_DAYS


class RequestForm(forms.Form):
    purpose = forms.ChoiceField(help_text="Only what the custodian permitted can be chosen.")
    project = forms.CharField(
        label="Your project",
        help_text="What the images are for, in your words. The officers decide on it.",
        widget=forms.Textarea(attrs={"rows": 4}),
    )

    def __init__(self, *args: Any, purposes: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["purpose"].choices = [(purpose, purpose) for purpose in purposes]  # type: ignore[attr-defined] # a ChoiceField


class DecideForm(forms.Form):
    approve = forms.TypedChoiceField(
        label="Decision",
        choices=[("yes", "grant access"), ("no", "reject the request")],
        coerce=lambda value: value == "yes",
        widget=forms.RadioSelect,
    )
    n_days = forms.IntegerField(label="Days of access", initial=90, help_text=f"1 to {MAX_GRANT_DAYS}.")
    reason = forms.CharField(
        help_text="In a sentence. The researcher reads it.", widget=forms.Textarea(attrs={"rows": 3})
    )


class RenewForm(forms.Form):
    n_days = forms.IntegerField(label="Days of access from now", initial=90, help_text=f"1 to {MAX_GRANT_DAYS}.")
    reason = forms.CharField(
        help_text="In a sentence. It goes to the ledger.", widget=forms.Textarea(attrs={"rows": 3})
    )


class RevokeForm(forms.Form):
    reason = forms.CharField(
        help_text="In a sentence. It goes to the ledger.", widget=forms.Textarea(attrs={"rows": 3})
    )


class ManyFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    """Django's documented way to take several files with one field."""

    widget = ManyFiles

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        given = data if isinstance(data, list | tuple) else [data]
        return [super(ManyFilesField, self).clean(file, initial) for file in given]


class LeakForm(forms.Form):
    images = ManyFilesField(
        label="Leaked images",
        help_text="PNG, JPEG, WebP or uncompressed DICOM. Several of one source say more.",
    )
