"""What people state about a release: the custodian's draft, the officers' votes, signatures and reasons."""

from __future__ import annotations

from django import forms

from policies.profile import load_profile, profile_names
from veilmark.releases.models import Vote
from veilmark.releases.states import ReleaseState


def _profiles() -> list[tuple[str, str]]:
    return [(name, f"{name}: {load_profile(name).title}") for name in profile_names()]


REASON = forms.Textarea(attrs={"rows": 3})


class DraftForm(forms.Form):
    name = forms.CharField(max_length=100, help_text="Letters, digits and hyphens. It names the bundle.")
    title = forms.CharField(max_length=200)
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 4}))
    profile = forms.ChoiceField(
        choices=_profiles, initial="internal", help_text="The rules that decide, with their limits."
    )


class ConfirmForm(forms.Form):
    """Nothing to state: the button is the statement."""


class ReasonForm(forms.Form):
    reason = forms.CharField(help_text="In a sentence. It goes to the ledger.", widget=REASON)


class VoteForm(ReasonForm):
    field_order = ("vote", "reason")
    vote = forms.ChoiceField(choices=Vote.choices, widget=forms.RadioSelect)


class EndorseForm(forms.Form):
    digest = forms.CharField(widget=forms.HiddenInput)
    meaning = forms.CharField(
        max_length=500,
        initial="I have reviewed the audits and the decision, and I approve this release.",
        help_text="What your signature stands for (evidence for 21 CFR 11.50).",
        widget=REASON,
    )
    password = forms.CharField(
        help_text="Enter your password again (evidence for 21 CFR 11.200).",
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        strip=False,
    )


class MotionForm(ReasonForm):
    field_order = ("target", "reason")
    target = forms.ChoiceField(
        label="You move to",
        choices=[(ReleaseState.REVOKED, "revoke the release"), (ReleaseState.RELEASED, "reinstate it")],
        widget=forms.RadioSelect,
    )
