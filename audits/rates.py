"""How many members an attack finds at a rate of false alarms so low that nobody could shrug it off."""

from __future__ import annotations

from audits.stats import Doubles, clopper_pearson, n_above_rate

ROC_RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


def rates(members: Doubles, others: Doubles) -> dict[str, object]:
    """True positive rates at false alarms of 1 % and .1 % with exact intervals, where enough others set them; the ROC.

    The ROC is {false alarm rate: members found}, at rates that the number of others can show.
    """
    n_others = len(others)
    figures: dict[str, object] = {}
    for name, rate in (("1pct", 0.01), ("0.1pct", 0.001)):
        if n_others * rate < 1:
            figures |= {f"tpr_at_{name}": None, f"why_not_{name}": f"needs {round(1 / rate)} people, not {n_others}"}
            continue
        k = n_above_rate(members, others, rate)
        low, high = clopper_pearson(k, len(members))
        figures |= {f"tpr_at_{name}": k / len(members), f"tpr_at_{name}_low": low, f"tpr_at_{name}_high": high}
    shown = [rate for rate in ROC_RATES if n_others * rate >= 1]
    return figures | {"roc": {f"{rate:g}": n_above_rate(members, others, rate) / len(members) for rate in shown}}
