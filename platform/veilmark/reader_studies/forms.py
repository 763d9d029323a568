"""Opening a study, and one judgement."""

from __future__ import annotations

from django import forms

REALISM = [("1", "1, not at all"), ("2", "2"), ("3", "3"), ("4", "4"), ("5", "5, fully")]


class StudyForm(forms.Form):
    n_items = forms.IntegerField(
        label="Number of images", initial=40, help_text="An even number: half of them real images of the holdout."
    )


class ReadingForm(forms.Form):
    item = forms.UUIDField(widget=forms.HiddenInput)
    judged_synthetic = forms.TypedChoiceField(
        label="This image is",
        choices=[("no", "a real radiograph"), ("yes", "synthetic")],
        coerce=lambda value: value == "yes",
        widget=forms.RadioSelect,
        error_messages={"required": "Choose one of the two."},
    )
    realism = forms.TypedChoiceField(
        label="How real does it look?",
        choices=REALISM,
        coerce=int,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose 1 to 5."},
    )
