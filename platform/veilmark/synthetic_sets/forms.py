"""What a custodian asks a generator to draw."""

from __future__ import annotations

import csv
import io

from django import forms

from generators.base import CellCount
from veilmark.provenance.embedded.visible_label import VisibleLabel
from veilmark.synthetic_sets.counts import parse_cells
from veilmark.synthetic_sets.models import VISIBLE_LABELS


class SampleForm(forms.Form):
    n_images = forms.IntegerField(
        label="Number of images", initial=400, min_value=1, help_text="Spread evenly over labels, sexes and adult ages."
    )
    counts = forms.CharField(
        label="Counts of your own",
        required=False,
        help_text="Instead of an even spread: CSV with the columns label, sex, age_group, n.",
        widget=forms.Textarea(attrs={"rows": 4, "placeholder": "label,sex,age_group,n\nnodule,F,60-79,100"}),
    )
    visible_label = forms.ChoiceField(
        label="The word SYNTHETIC in each image",
        choices=VISIBLE_LABELS,
        initial=VisibleLabel.NONE.value,
        required=False,
        help_text="Marks and metadata are there in any case. Readers cannot judge images blinded whose pixels say it.",
    )
    seed = forms.IntegerField(initial=0, help_text="The same seed draws the same images again.")

    def cells(self) -> list[CellCount]:
        """The counts asked for; empty where an even spread is. Raises ApplicationError."""
        text = self.cleaned_data["counts"].strip()
        return parse_cells(list(csv.DictReader(io.StringIO(text)))) if text else []

    def label(self) -> VisibleLabel:
        """Where the word is to stand."""
        return VisibleLabel(self.cleaned_data["visible_label"] or VisibleLabel.NONE)
