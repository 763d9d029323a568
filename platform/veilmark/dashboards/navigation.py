"""The header's links of every role, as data."""

from veilmark.accounts.models import Role
from veilmark.core.navigation import Item

_KEEPERS = frozenset({Role.CUSTODIAN, Role.COMPLIANCE_OFFICER, Role.OPERATOR})
_WATCHERS = frozenset({Role.COMPLIANCE_OFFICER, Role.OPERATOR})

ITEMS = (
    Item(label="Cohorts", url_name="cohorts:list", roles=_KEEPERS, position=10),
    Item(label="Training", url_name="training_runs:list", roles=frozenset({Role.CUSTODIAN}), position=20),
    Item(
        label="Synthetic sets",
        url_name="synthetic_sets:list",
        roles=frozenset({Role.CUSTODIAN, Role.COMPLIANCE_OFFICER}),
        position=30,
    ),
    Item(
        label="Reader studies",
        url_name="reader_studies:list",
        roles=frozenset({Role.CUSTODIAN, Role.COMPLIANCE_OFFICER, Role.CLINICIAN}),
        position=40,
    ),
    Item(
        label="Decisions",
        url_name="decisions:list",
        roles=frozenset({Role.CUSTODIAN, Role.COMPLIANCE_OFFICER}),
        position=50,
    ),
    Item(label="Releases", url_name="releases:list", roles=frozenset(Role.values) - {Role.RESEARCHER}, position=60),
    Item(label="Catalogue", url_name="access:catalogue", roles=frozenset({Role.RESEARCHER}), position=60),
    Item(label="Requests", url_name="access:requests", roles=_WATCHERS | {Role.RESEARCHER}, position=70),
    Item(label="Agreement", url_name="access:agreement", roles=frozenset({Role.RESEARCHER}), position=80),
    Item(label="Jobs", url_name="dashboards:jobs", roles=frozenset({Role.OPERATOR}), position=80),
    Item(label="Leaks", url_name="access:leaks", roles=frozenset({Role.COMPLIANCE_OFFICER}), position=85),
    Item(label="Ledger", url_name="dashboards:ledger", roles=_WATCHERS, position=90),
    Item(label="People", url_name="dashboards:people", roles=frozenset({Role.OPERATOR}), position=95),
)
