"""What happens to people, told to whoever keeps record: the ledger stands above this app and listens."""

from django.dispatch import Signal

person_created = Signal()  # person, acting_user
reauthenticated = Signal()  # person
token_created = Signal()  # person
