"""What a person says of one flagged pair."""

from __future__ import annotations

from django import forms

from veilmark.audit_runs.models import CopyAnswer

MEANINGS = {
    CopyAnswer.COPY: "a copy: the same image, or the same person's image altered",
    CopyAnswer.NOT_COPY: "not a copy: no more alike than two people can be",
    CopyAnswer.CANNOT_TELL: "cannot tell: somebody else must look",
}


class CopyReviewForm(forms.Form):
    answer = forms.ChoiceField(
        label="The synthetic image is",
        choices=list(MEANINGS.items()),
        widget=forms.RadioSelect,
        error_messages={"required": "Choose one of the three."},
    )
    reason = forms.CharField(
        label="Reason",
        help_text="What you see that makes it so, in a sentence. It stays on site.",
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=2000,
    )
