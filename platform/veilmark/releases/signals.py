"""What happens to releases, told to whoever stands above this app: downloads end with their release."""

from django.dispatch import Signal

release_moved = Signal()  # release, acting_user: sent in the transaction of the move
