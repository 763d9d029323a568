"""What a custodian states when handing a cohort over."""

from __future__ import annotations

from typing import Any

from django import forms

from veilmark.cohorts.mapping import CohortMapping, parse_mapping
from veilmark.cohorts.services import CohortTerms
from veilmark.core.pages import refusals_on

EXAMPLE = """\
[columns]
index = "index"          # row in images.npz; or image = "file_name"
subject = "patient_id"
label = "finding"
sex = "sex"
age = "age"

[dataset]
name = "Chest radiographs 2020 to 2024"
licence = "internal use"
legal_basis = "ethics decision 2024-117"
purposes = ["research"]
permits_derivatives = true
"""


class CohortForm(forms.Form):
    name = forms.CharField(max_length=200, help_text="How the cohort is called on this site. Names are unique.")
    archive = forms.FileField(
        label="Images and table (zip)",
        help_text="A zip of images with metadata.csv, of images.npz with metadata.csv, or of DICOM files.",
        widget=forms.FileInput(attrs={"accept": ".zip,application/zip"}),
    )
    mapping_file = forms.FileField(
        label="Mapping (TOML file)",
        required=False,
        help_text="Says which column means what. Give a file, or write it below.",
        widget=forms.FileInput(attrs={"accept": ".toml"}),
    )
    mapping_text = forms.CharField(
        label="Mapping (text)", required=False, widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"})
    )
    public_n_subjects = forms.IntegerField(
        label="Declared number of subjects",
        min_value=1,
        help_text="A rounded bound that may be public, such as 700. Formulas use it; the exact count stays private.",
    )
    epsilon_budget = forms.FloatField(
        label="Privacy budget: epsilon per subject",
        initial=10.0,
        help_text="The most that all training runs on this cohort may spend together, per person.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    delta_budget = forms.FloatField(
        label="Privacy budget: delta",
        initial="0.00001",
        help_text="At most 1 / (10 × declared number of subjects).",  # noqa: RUF001 - a times sign
        widget=forms.NumberInput(attrs={"step": "any"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        given = cleaned.get("mapping_file")
        try:
            text = given.read().decode() if given else cleaned.get("mapping_text", "")
        except UnicodeDecodeError:
            raise forms.ValidationError("mapping: is no text in UTF-8; save it as UTF-8") from None
        if not text.strip():
            raise forms.ValidationError("mapping: is missing; give a TOML file, or write it as text")
        with refusals_on(self):
            self.mapping: CohortMapping = parse_mapping(text)
        return cleaned

    def terms(self) -> CohortTerms:
        """Raises ApplicationError where a value is out of range."""
        names = ("name", "public_n_subjects", "epsilon_budget", "delta_budget")
        return CohortTerms(**{name: self.cleaned_data[name] for name in names})
