"""What the winners of searches are worth on volumes that no search saw: a run of `lossgen compare` and the searches, in one table.

    python benches/audit.py --lossgen target/release/lossgen --audit RUN --base dice_ce --base ce SEARCH SEARCH...

Every loss of the audit is held against every base: mean difference of Dice (in points) and of HD95 (in mm) over the same test
volumes, each the mean over seeds, its 95 % interval (10,000 bootstrap samples of volumes) and the p of Wilcoxon's signed-rank
test, corrected over all losses that are no base (Holm 1979), for each base and metric apart. Seeds are no subjects: the standard
deviation of a loss's mean over them stands beside it. The winner of a search is found in the audit by its canonical text. What it retains is its lead over the control in
the audit over that in the search's last race; the interval draws both (the volumes of the audit, and a normal deviate of the
standard error that the search gives), and there is none where the search's own interval holds 0. What all such searches
retain together is the sum of the one over the sum of the other: searches are in it because of their gain, so it is optimistic.
"""

import argparse
import collections
import csv
import math
import pathlib
import random
import statistics
import sys

from grammar import ask
from strategies import wilcoxon


def values(run, metric):
    """Of every loss a metric by case, the mean over seeds; and its mean over cases by seed."""
    cases, seeds = (collections.defaultdict(lambda: collections.defaultdict(list)) for _ in range(2))
    with open(run / "cases.csv", newline="") as file:
        for row in csv.DictReader(file):
            if row["metric"] == metric:
                cases[row["loss"]][row["case"], row["class"]].append(float(row["value"]))
                seeds[row["loss"]][row["seed"]].append(float(row["value"]))
    mean = lambda table: {key: statistics.fmean(own) for key, own in sorted(table.items())}
    return {loss: mean(own) for loss, own in cases.items()}, {loss: mean(own) for loss, own in seeds.items()}


def drawn(differences, samples=10_000):
    """Means of bootstrap samples, in order."""
    draw = random.Random(1)
    return sorted(statistics.fmean(draw.choices(differences, k=len(differences))) for _ in range(samples))


def holm(ps):
    """Corrected p by name."""
    corrected, largest = {}, 0.0
    for rank, (name, p) in enumerate(sorted(ps.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(ps) - rank) * p))
        corrected[name] = largest
    return corrected


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lossgen", default="lossgen", help="the program")
    parser.add_argument("--audit", required=True, type=pathlib.Path, metavar="RUN")
    parser.add_argument("--base", action="append", required=True, metavar="L", help="a loss that others are held against")
    parser.add_argument("searches", nargs="*", type=pathlib.Path, metavar="SEARCH")
    arguments = parser.parse_args()
    (dice, seeds), (surfaces, _) = values(arguments.audit, "dice"), values(arguments.audit, "hd95")
    (precision, _), (recall, _) = values(arguments.audit, "precision"), values(arguments.audit, "recall")
    order = sorted(dice, key=lambda loss: -statistics.fmean(dice[loss].values()))
    if any(not math.isfinite(value) for table in (dice, surfaces) for own in table.values() for value in own.values()):
        sys.exit("a structure was missed altogether: it has no HD95, and means and tests would leave it out in silence")
    cases = sorted(dice[arguments.base[0]])
    order = [loss for loss in order if sorted(dice[loss]) == cases]  # the others are still trained
    print(f"{len(cases)} test volumes; Dice [%], sd over seeds, precision and recall [%], HD95 [mm]")
    for loss in order:
        own = [100 * value for value in seeds[loss].values()]
        spread = f"{statistics.stdev(own):.2f}" if len(own) > 1 else "-"
        mean = lambda table: statistics.fmean(table[loss].values())
        print(f"  {100 * mean(dice):.2f}  {spread:>5} ({len(own)})  {100 * mean(precision):.1f}  {100 * mean(recall):.1f}  "
              f"{mean(surfaces):6.2f}  {loss}")
    found = [loss for loss in order if loss not in arguments.base]
    for base in arguments.base:
        for what, table, scale in (("points of Dice", dice, 100), ("mm of HD95", surfaces, 1)):
            over = lambda loss: [scale * (table[loss][case] - table[base][case]) for case in cases]
            ps = holm({loss: wilcoxon(over(loss)) for loss in found})
            print(f"\nagainst {base}, {what}")
            for loss in found:
                means = drawn(over(loss))
                print(f"  {statistics.fmean(over(loss)):+.2f} [{means[249]:+.2f}, {means[9750]:+.2f}]  p = {ps[loss]:.1e}  {loss}")
    if not arguments.searches:
        return
    canonical = {ask(arguments.lossgen, "loss", "show", loss)["canonical"]: loss for loss in order}
    resolvable = []
    for search in arguments.searches:
        winner = ask(arguments.lossgen, "inspect", str(search))["winner"]
        loss = canonical.get(ask(arguments.lossgen, "loss", "show", winner["loss"])["canonical"])
        if loss is None:
            print(f"\n{search}: the winner is not in the audit")
            continue
        gain, (low, high) = winner["gain"]["mean"], winner["gain"]["interval"]
        differences = [dice[loss][case] - dice["dice_ce"][case] for case in cases]
        draw = random.Random(2)
        ratios = sorted(mean / draw.gauss(gain, (high - low) / 3.92) for mean in draw.sample(drawn(differences), 10_000))
        interval = f" [{100 * ratios[249]:.0f}, {100 * ratios[9750]:.0f}] %" if low > 0 else ", not resolvable in the search"
        if low > 0:
            resolvable.append((gain, statistics.fmean(differences)))
        print(f"\n{search}: {100 * gain:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}] points in the search, "
              f"{100 * statistics.fmean(differences):+.2f} in the audit: {100 * statistics.fmean(differences) / gain:.0f}{interval} retained")
    if resolvable:
        gains, kept = (sum(column) for column in zip(*resolvable))
        print(f"\n{len(resolvable)} searches with a gain that they resolve: {100 * kept:+.2f} of {100 * gains:+.2f} points, {100 * kept / gains:.0f} %")


if __name__ == "__main__":
    main()
