"""Losses of several runs of `lossgen train` beside each other, and where what moved in them stood.

    python benches/strategies.py "RUN:greedy(tversky)" "RUN:tversky" "OTHER:greedy(tversky, held_out=true)"

Every loss is held against the first one: mean difference of Dice over the same test volumes, in points, its 95 % interval
(10,000 bootstrap samples) and the p of Wilcoxon's signed-rank test (normal approximation, not corrected for several
comparisons). `lossgen train` says the same of losses that were trained in one run. The curves of weights and parameters are
read from the same runs: their end in every fold, and the range over all steps and folds.
"""

import argparse
import csv
import math
import pathlib
import random
import re


def dice(run, loss):
    """Dice of a loss in per cent, by case and class."""
    with open(run / "cases.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["loss"] == loss and row["metric"] == "dice"]
    if not rows:
        raise SystemExit(f"error: no loss `{loss}` in {run}")
    return {(row["case"], row["class"]): 100 * float(row["value"]) for row in rows}


def moved(run, loss):
    """Name, ends in every fold, least and most of what moved; nothing for a loss that stands still."""
    with open(run / "cases.csv", newline="") as file:
        losses = list(dict.fromkeys(row["loss"] for row in csv.DictReader(file)))
    curves = []
    for path in sorted(run.glob(f"loss{losses.index(loss) + 1}-fold*-curve.csv")):
        with open(path, newline="") as file:
            curves.append(list(csv.DictReader(file)))
    for name in [name for name in curves[0][0] if name not in ("step", "loss") and not re.match("trial_", name)]:
        values = [[float(row[name]) for row in curve] for curve in curves]
        yield name, [curve[-1] for curve in values], min(map(min, values)), max(map(max, values))


def wilcoxon(differences):
    """Two-sided p by the normal approximation, ties in halves and zeros left out (Wilcoxon 1945)."""
    ranked = sorted((difference for difference in differences if difference), key=abs)
    n, rank, ups, ties = len(ranked), 0, 0.0, 0
    while rank < n:
        same = [difference for difference in ranked[rank:] if abs(difference) == abs(ranked[rank])]
        ups += sum(rank + (len(same) + 1) / 2 for difference in same if difference > 0)
        ties += len(same) ** 3 - len(same)
        rank += len(same)
    spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24 - ties / 48)
    return math.erfc(abs(ups - n * (n + 1) / 4) / spread / math.sqrt(2))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("losses", nargs="+", metavar="RUN:LOSS", help="the first one is what the others are held against")
    losses = [(pathlib.Path(text.split(":", 1)[0]), text.split(":", 1)[1]) for text in parser.parse_args().losses]
    base = dice(*losses[0])
    for run, loss in losses:
        own = dice(run, loss)
        if own.keys() != base.keys():
            raise SystemExit(f"error: {run} and {losses[0][0]} were tested on different cases")
        line = f"{loss}: Dice {sum(own.values()) / len(own):.2f}"
        if own is not base and (run, loss) != losses[0]:
            differences = [own[case] - base[case] for case in sorted(base)]
            draw = random.Random(1)
            means = sorted(sum(draw.choices(differences, k=len(base))) / len(base) for _ in range(10_000))
            line += f", {sum(differences) / len(base):+.2f} [{means[249]:+.2f}, {means[9750]:+.2f}]"
            line += f", p = {wilcoxon(differences):.1e}, n = {len(base)}"
        print(line)
        for name, ends, least, most in moved(run, loss):
            print(f"  {name}: ends {' '.join(f'{end:.2f}' for end in ends)}; {least:.2f} to {most:.2f}")


if __name__ == "__main__":
    main()
