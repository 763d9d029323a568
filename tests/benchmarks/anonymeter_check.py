"""Singling out and linkability beside `anonymeter` (Giomi et al. 2023), on the same tables.

    python tests/benchmarks/anonymeter_check.py

anonymeter pins numpy < 1.27, so it gets an environment of its own in a temporary folder; that needs Python 3.11 or
3.12 and a package registry. It drops repeated rows and counts rows; the audits count people. Ours is therefore shown
twice: on distinct rows, where both must agree, and on people, which is what the audits report. Of many synthetic rows
that are equally near, anonymeter takes another one for each half of the columns (its sort is not stable), which an
attacker would not: links are shown with ties broken so, where both must agree, and in one order, as the audits do.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audits.metadata.guesses import Columns, guesses_on
from audits.metadata.tables import COLUMNS, People, words_of
from audits.privacy.linkability import link_rates, split_columns
from generators.data import ImageSet, Strings
from generators.phantoms import draw_phantoms

WORDS = {"label": 12, "sex": 2, "age_group": 8, "site": 6}
THEIRS = """
import json, sys, warnings
import numpy as np, pandas as pd
from anonymeter.evaluators import LinkabilityEvaluator, SinglingOutEvaluator
warnings.simplefilter("ignore")
found = []
ARMS = ("train", "unseen", "synthetic")
def right(real, synthetic, size, n_attacks):
    if not n_attacks:
        return 0
    attack = SinglingOutEvaluator(
        ori=real, syn=synthetic, n_attacks=n_attacks, n_cols=int(size), max_attempts=15000, seed=0
    )
    return attack.evaluate(mode="multivariate").results().n_success
for case in json.load(open(sys.argv[1])):
    train, unseen, synthetic = (pd.DataFrame(case[name], columns=case["columns"]) for name in ARMS)
    row = {}
    for size, n_attacks in case["n_attacks"].items():
        row["singling_out_" + size] = [right(real, synthetic, size, n_attacks) for real in (train, unseen)]
    rates = []
    for order in range(case["n_orders"]):
        shuffled = synthetic.sample(frac=1, random_state=order).reset_index(drop=True)
        attack = LinkabilityEvaluator(
            ori=train, syn=shuffled, control=unseen, aux_cols=case["halves"], n_attacks=min(len(train), len(unseen))
        ).evaluate(n_jobs=1)
        result = attack.results()
        rates.append([result.n_success / result.n_attacks_ori, result.n_control / result.n_attacks_control])
    row["linkability"] = np.mean(rates, axis=0).tolist()
    found.append(row)
json.dump(found, open(sys.argv[2], "w"))
"""
N_ORDERS = 10
N_ROWS = 400


@dataclass(frozen=True, kw_only=True)
class Case:
    """Tables of words [N, C], all with the same columns."""

    name: str
    train: Strings
    unseen: Strings
    synthetic: Strings


def cases() -> list[Case]:
    """Even tables without a leak, with 30 % and with all of the training rows, and the words of phantoms."""
    rng = np.random.default_rng(0)

    def draw(n: int) -> Strings:
        return np.stack(
            [np.array([f"{key}{i}" for i in range(k)])[rng.integers(0, k, n)] for key, k in WORDS.items()], 1
        )

    train, unseen, other = draw(400), draw(400), draw(400)
    even = [(0.0, "no leak"), (0.3, "30 % of train released"), (1.0, "train released")]
    drawn = [
        Case(name=f"even words, {name}", train=train, unseen=unseen, synthetic=_mixed(train, other, share))
        for share, name in even
    ]
    people = draw_phantoms(n_subjects=900, size=16, seed=3, max_images=1).images
    words = [words_of(_part(people, i), COLUMNS) for i in range(3)]
    return [*drawn, Case(name="phantoms, no leak", train=words[0], unseen=words[1], synthetic=words[2])]


def _mixed(train: Strings, other: Strings, share: float) -> Strings:
    n = int(share * len(train))
    return np.concatenate([train[:n], other[n:]])


def _part(people: ImageSet, i: int) -> ImageSet:
    return people.select(np.arange(300 * i, 300 * (i + 1)))


def ours(words: Strings, synthetic: Strings, size: int) -> tuple[int, int]:
    """Guesses of `size` columns, and how many fit exactly one row of `words`."""
    combinations: list[Columns] = list(itertools.combinations(range(len(COLUMNS)), size))
    people = one_row_each(words)
    guesses = guesses_on(people, synthetic, combinations, n_people=len(synthetic))
    return guesses.n_guesses, guesses.n_right(np.ones(people.n_people, dtype=bool))


def loose_links(words: Strings, synthetic: Strings) -> float:
    """Mean chance of a link where each half picks its own row among the equally near ones."""
    near = []
    for half in split_columns(COLUMNS):
        differing = (words[:, None, half] != synthetic[None][:, :, half]).sum(axis=2)
        near.append(differing == differing.min(axis=1, keepdims=True))
    both = (near[0] & near[1]).sum(axis=1)
    return float((both / (near[0].sum(axis=1) * near[1].sum(axis=1))).mean())


def one_row_each(words: Strings) -> People:
    """Rows as people."""
    return People(words=words, person=np.arange(len(words)), n_people=len(words))


def theirs(tables: list[Case], folder: Path) -> list[dict[str, list[float]]]:
    """anonymeter's figures, from an environment made in `folder`."""
    python = shutil.which("python3.11") or shutil.which("python3.12") or sys.executable
    subprocess.run([python, "-m", "venv", folder / "env"], check=True)
    inside = folder / "env" / "bin" / "python"
    subprocess.run([inside, "-m", "pip", "install", "--quiet", "anonymeter"], check=True)
    halves = [[COLUMNS[i] for i in half] for half in split_columns(COLUMNS)]
    asked = [
        {
            "columns": COLUMNS,
            "halves": halves,
            "n_orders": N_ORDERS,
            "n_attacks": {str(size): ours(case.train, distinct(case.synthetic), size)[0] for size in (3, 4)},
            **{name: getattr(case, name).tolist() for name in ("train", "unseen", "synthetic")},
        }
        for case in tables
    ]
    (folder / "tables.json").write_text(json.dumps(asked))
    (folder / "theirs.py").write_text(THEIRS)
    subprocess.run([inside, folder / "theirs.py", folder / "tables.json", folder / "found.json"], check=True)
    found: list[dict[str, list[float]]] = json.loads((folder / "found.json").read_text())
    return found


def distinct(words: Strings) -> Strings:
    """Each row once, as anonymeter reads a table."""
    return np.unique(words, axis=0)


def main() -> None:
    """Print both figures of every table, members / unseen."""
    tables = cases()
    with tempfile.TemporaryDirectory() as folder:
        found = theirs(tables, Path(folder))
    for case, other in zip(tables, found, strict=True):
        lines, arms = [case.name], (case.train, case.unseen)
        for size in (3, 4):
            rows = [ours(distinct(arm), distinct(case.synthetic), size) for arm in arms]
            people = [ours(arm, case.synthetic, size) for arm in arms]
            right = other[f"singling_out_{size}"]
            lines.append(
                f"  singling out, {size} columns: anonymeter {right[0]:.0f} / {right[1]:.0f} of {rows[0][0]} guesses; "
                f"ours on distinct rows {rows[0][1]} / {rows[1][1]} of {rows[0][0]}; "
                f"ours on people {people[0][1]} / {people[1][1]} of {people[0][0]}"
            )
        halves = split_columns(COLUMNS)
        loose = [loose_links(arm, case.synthetic) for arm in arms]
        rates = [link_rates(one_row_each(arm), case.synthetic, halves).mean() for arm in arms]
        links = other["linkability"]
        lines.append(
            f"  linkability: anonymeter {links[0]:.4f} / {links[1]:.4f} (mean of {N_ORDERS} orders of rows); "
            f"ours with loose ties {loose[0]:.4f} / {loose[1]:.4f}; ours {rates[0]:.4f} / {rates[1]:.4f}"
        )
        sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
