"""Profiles: a typing error in one must not switch a rule off."""

from __future__ import annotations

import pytest

from policies.base import Phase, PolicyError, Severity
from policies.fact_table import FACTS
from policies.profile import Profile, load_profile, parse_profile, profile_names
from policies.registry import rule_kinds

RULE = {
    "id": '"epsilon"',
    "kind": '"at_most"',
    "fact": '"spent_epsilon"',
    "limit": "8",
    "severity": '"block"',
    "phase": '"endorsement"',
    "citation": '"evidence for NIST SP 800-226"',
    "remedy": '"train again"',
}


def toml(*rows: dict[str, str], head: str = 'name = "p"\ntitle = "t"\n') -> str:
    return head + "".join("[[rules]]\n" + "".join(f"{key} = {value}\n" for key, value in row.items()) for row in rows)


def changed(**changes: str | None) -> str:
    row = {key: value for key, value in (RULE | changes).items() if value is not None}
    return toml(row)


BAD = {
    "no TOML": ("name = ", "no TOML"),
    "empty": ("", "name"),
    "no rules": (toml(), "no rules"),
    "rules is a text": ('name = "p"\ntitle = "t"\nrules = "all"', "list of tables"),
    "unknown key at the top": (toml(RULE, head='name = "p"\ntitle = "t"\nrelease = true\n'), "release"),
    "no title": (toml(RULE, head='name = "p"\n'), "title"),
    "one id twice": (toml(RULE, RULE), "twice"),
    "no kind": (changed(kind=None), "kind"),
    "unknown kind": (changed(kind='"at_mots"'), "at_mots"),
    "unknown fact": (changed(fact='"epsilon"'), "no fact"),
    "no fact": (changed(fact=None), "fact"),
    "no limit": (changed(limit=None), "limit"),
    "limit is a text": (changed(limit='"8"'), "limit"),
    "limit is true": (changed(limit="true"), "limit"),
    "limit is NaN": (changed(limit="nan"), "limit"),
    "limit is infinite": (changed(limit="inf"), "limit"),
    "unknown key in a rule": (changed(limitt="9"), "limitt"),
    "unknown severity": (changed(severity='"blocks"'), "severity"),
    "unknown phase": (changed(phase='"later"'), "phase"),
    "no citation": (changed(citation=None), "citation"),
    "blank remedy": (changed(remedy='" "'), "remedy"),
    "condition is no flag": (changed(when='"licence"'), "no flag"),
    "condition is no fact": (changed(when='"heads"'), "no fact"),
    "limit on a text": (changed(fact='"licence"'), "licence"),
    "value never possible": (changed(kind='"equals"', fact='"privacy_unit"', limit=None, value='"image"'), "never"),
    "no value allowed": (changed(kind='"one_of"', fact='"accountant"', limit=None, values="[]"), "no value"),
    "status of no audit": (changed(kind='"not_detected"', fact='"privacy_unit"', limit=None), "no status"),
    "itself": (
        changed(kind='"same"', fact='"endorsed_digest"', other='"endorsed_digest"', limit=None),
        "compared with itself",
    ),
    "bound without people": (
        changed(kind='"upper_bound_with_minimum_n"', status='"copies_status"', n="[]", minimum_n="5"),
        "nobody",
    ),
    "factor too small": (changed(kind='"at_most_public"', n='"public_n_subjects"', factor="0", limit=None), "factor"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_bad_profile_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message) as refusal:
        parse_profile(text)
    assert "\n" not in str(refusal.value)


def test_the_table_starts_from_a_good_rule() -> None:
    assert parse_profile(toml(RULE)).rules[0].check.want == "<= 8"


def test_shipped_profiles() -> None:
    assert profile_names() == ["controlled", "internal", "public"]


@pytest.fixture(params=profile_names())
def shipped(request: pytest.FixtureRequest) -> Profile:
    return load_profile(request.param)


def test_shipped_profile_covers_every_phase_and_claims_no_compliance(shipped: Profile) -> None:
    assert sum(rule.severity is Severity.BLOCK for rule in shipped.rules) >= 12
    assert {rule.phase for rule in shipped.rules} == set(Phase)
    for rule in shipped.rules:
        assert rule.citation.startswith("evidence for ")
        assert set(rule.check.needs) <= FACTS.keys()


def test_profiles_get_stricter() -> None:
    internal, controlled, public = (
        {rule.id: rule for rule in load_profile(name).rules} for name in ("internal", "controlled", "public")
    )
    looser = {"ages", "above-chance", "copies-reviewed"}  # the same limits, but only a warning inside
    assert internal.keys() <= controlled.keys() <= public.keys()
    for left, right in ((internal, controlled), (controlled, public)):
        for name in left.keys() - looser:
            assert left[name].severity is right[name].severity
            for key, limit in left[name].limits.items():
                if isinstance(limit, float) and left[name].kind == "at_most":
                    assert right[name].limits[key] <= limit  # type: ignore[operator]
                if isinstance(limit, float) and left[name].kind.startswith("at_least"):
                    assert right[name].limits[key] >= limit  # type: ignore[operator]


def test_digest_follows_limits_not_layout() -> None:
    text = toml(RULE)
    assert (
        parse_profile(text).digest == parse_profile("# a comment\n" + text.replace("limit = 8", "limit = 8.0")).digest
    )
    assert parse_profile(text).digest != parse_profile(changed(limit="8.5")).digest


def test_every_rule_kind_is_used_by_a_shipped_profile() -> None:
    used = {rule.kind for name in profile_names() for rule in load_profile(name).rules}
    assert used == set(rule_kinds())
