"""What the client refuses: `ClientError`, whose `str()` is one line: where, what, what to do."""


class ClientError(Exception):
    """A refusal that a person can act on."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__("; ".join(part for part in (f"{where}: {what}" if where else what, remedy) if part))
