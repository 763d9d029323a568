"""What a custodian asks for when starting a training run."""

from __future__ import annotations

from django import forms

from generators.privacy import ACCOUNTANTS
from generators.registry import GENERATORS
from veilmark.training_runs.services import TrainingPlan

# Without the setting `base` there is no network to adapt, and this page takes no settings: the API does.
NEEDS_SETTINGS = {"lora"}


def _generators() -> list[tuple[str, str]]:
    offered = {name: entry for name, entry in GENERATORS.items() if name not in NEEDS_SETTINGS}
    return [(name, f"{name}: {entry.summary}") for name, entry in offered.items()]


class TrainingForm(forms.Form):
    generator = forms.ChoiceField(choices=_generators, widget=forms.RadioSelect, initial="latent-statistics")
    epsilon = forms.FloatField(
        label="Target epsilon per subject",
        initial=8.0,
        help_text="Smaller protects better and costs likeness. The run never spends more.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    delta = forms.FloatField(initial="0.00001", widget=forms.NumberInput(attrs={"step": "any"}))
    accountant = forms.ChoiceField(
        choices=[(name, name.upper()) for name in ACCOUNTANTS],
        initial="prv",
        help_text="How epsilon is computed from the noise. It is named wherever epsilon is shown.",
    )
    image_size = forms.IntegerField(label="Image size in pixels", initial=64, help_text="16 to 512, a side.")
    seed = forms.IntegerField(initial=0, help_text="Repeats initial weights only; noise is never seeded.")
    public_data = forms.CharField(
        label="Public image set on the server",
        required=False,
        max_length=500,
        help_text="Name of an .npz in var/public, used at no privacy cost. Empty: the procedural phantoms.",
    )

    def plan(self) -> TrainingPlan:
        return TrainingPlan(**self.cleaned_data)
