"""The second recorder of a run under test, in the place of the platform's."""

from generators.privacy import PrivacySpend, StepRecord


class Recorder:
    """Keeps the steps that it is told of, and dies at a step's number, in a phase, or at both where both are named."""

    def __init__(self, *, dies_at: int | None = None, dies_in: str | None = None) -> None:
        self.dies_at, self.dies_in = dies_at, dies_in
        self.steps: list[StepRecord] = []

    def reserve(self, planned: PrivacySpend) -> None: ...

    def step(self, record: StepRecord) -> None:
        self.steps.append(record)
        named = (self.dies_at, self.dies_in) != (None, None)
        if named and self.dies_at in {None, record.step} and self.dies_in in {None, record.phase}:
            raise KeyboardInterrupt

    def settle(self, spent: PrivacySpend) -> None: ...
