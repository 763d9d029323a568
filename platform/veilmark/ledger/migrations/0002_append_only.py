from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from veilmark.ledger.append_only import ADD, REMOVE


def add_triggers(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for statement in ADD[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def remove_triggers(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for statement in REMOVE[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]
    operations = [migrations.RunPython(add_triggers, remove_triggers)]
