"""The triggers by which the database itself refuses to change or remove an event, whoever asks."""

REFUSAL = "the ledger is append-only"

_SQLITE = [
    f"""
    CREATE TRIGGER ledger_event_no_{verb} BEFORE {verb.upper()} ON ledger_event
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
    """
    for verb in ("update", "delete")
]
# A row that replaces another (INSERT OR REPLACE) fires no DELETE trigger on SQLite unless it is told to.
_SQLITE.append(f"""
    CREATE TRIGGER ledger_event_no_replace BEFORE INSERT ON ledger_event
    WHEN EXISTS (SELECT 1 FROM ledger_event WHERE sequence = NEW.sequence OR digest = NEW.digest)
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
    """)  # noqa: S608 - a constant
_POSTGRESQL = [
    f"""
    CREATE FUNCTION ledger_event_refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$
    """,
    """
    CREATE TRIGGER ledger_event_append_only BEFORE UPDATE OR DELETE ON ledger_event
    FOR EACH ROW EXECUTE FUNCTION ledger_event_refuse()
    """,
    """
    CREATE TRIGGER ledger_event_no_truncate BEFORE TRUNCATE ON ledger_event
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_event_refuse()
    """,
]
ADD = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL}
REMOVE = {
    "sqlite": [f"DROP TRIGGER ledger_event_no_{verb}" for verb in ("update", "delete", "replace")],
    "postgresql": [
        "DROP TRIGGER ledger_event_append_only ON ledger_event",
        "DROP TRIGGER ledger_event_no_truncate ON ledger_event",
        "DROP FUNCTION ledger_event_refuse()",
    ],
}
