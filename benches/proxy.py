"""How well short trainings rank losses: Kendall's tau of proxies with long trainings, in one table.

    python benches/proxy.py --long RUN three-starts=RUN one-start=RUN

LONG is a run of `lossgen train` with losses of the catalog, the others are runs of `lossgen evolve --headroom`, or of `lossgen
train` with fewer steps: from scratch. Every rung of every proxy is held against the long trainings, and so are its trainings
from scratch and the score of both: tau over all losses that both trained (a loss that diverged in one counts as the worst
there), with a 95 % interval from 1,000 bootstrap samples of the test volumes of the long trainings; tau among the
better half of the losses, where a search has to decide; and, of the pairs that the long trainings tell apart (Wilcoxon's
signed-rank test over test volumes, p < 0.05), the share that the proxy orders alike. The cost is in optimiser steps for a loss, on
this rung and those below it, of one replicate; means are over all replicates, as a search has them for its finalists only.
"""

import argparse
import collections
import csv
import itertools
import json
import pathlib
import random
import re
import statistics

from grammar import ask, tau
from strategies import dice, wilcoxon


def trained(run):
    """The losses of a run of `lossgen train` that have trained in every fold, with Dice per case in per cent."""
    with open(run / "cases.csv", newline="") as file:
        names = list(dict.fromkeys(row["loss"] for row in csv.DictReader(file)))
    found = {name: dice(run, name) for name in names}
    most = max(map(len, found.values()))
    return {name: cases for name, cases in found.items() if len(cases) == most}


def rungs(run):
    """What it is, steps paid until then, and Dice over the control by loss, for every rung of a proxy."""
    if (pathlib.Path(run) / "cells.jsonl").exists():
        with open(next(pathlib.Path(run).glob("*-curve.csv"))) as file:
            steps = sum(1 for _ in file) - 1
        means = {name: statistics.fmean(cases.values()) for name, cases in trained(pathlib.Path(run)).items()}
        yield "from scratch", steps, means
        return
    text = (pathlib.Path(run) / "headroom.ron").read_text()
    losses = re.findall(r'"(\w+)"', re.search(r"losses: \[(.*?)\]", text, re.DOTALL)[1])
    below = starts = scratch = 0
    for kind, steps, gains in re.findall(r"kind: (\w+).*?steps: (\d+).*?gains: \[(.*?)\]", text, re.DOTALL):
        values = [-1.0 if value == "None" else float(value) for value in re.findall(r"None|-?[\d.]+(?:e-?\d+)?", gains)]
        what = {"start": f"start, {steps}", "scratch": f"scratch, {steps}", "both": "both", "sift": f"scratch, {steps}"}[kind]
        if kind in ("start", "sift"):
            below, starts = starts, starts + int(steps)
        # Whom trainings from scratch judge alone, nobody trains on the longest rung from a start.
        paid = {"start": starts, "sift": starts, "scratch": below + int(steps), "both": starts + scratch}[kind]
        scratch = int(steps)
        yield what, paid, dict(zip(losses, values))


def single(program, run, losses):
    """Dice by loss in one replicate of every rung, one after the other: most losses get one. The run may be unfinished."""
    names = {ask(program, "loss", "show", name)["canonical"]: name for name in losses}
    found = collections.defaultdict(dict)
    with open(pathlib.Path(run) / "journal.jsonl") as file:
        for row in (json.loads(line.split(" ", 1)[1]) for line in file if line.endswith("\n")):
            training = row.get("training")
            if training and training["loss"] in names and set(training["trial"]) & {"scratch", "sift", "proxy"}:
                kind, values = next(iter(training["trial"].items()))
                score = training["outcome"].get("Trained")
                dice = statistics.fmean(score["dice"]) if score else -1.0
                found[kind, values.get("part"), values["replicate"]][names[training["loss"]]] = dice
    return found


def halves(losses):
    """Every other case, and the rest: to hold the long trainings against themselves."""
    cases = sorted(next(iter(losses.values())))
    return cases[::2], cases[1::2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", required=True, type=pathlib.Path, metavar="RUN")
    parser.add_argument("--without", action="append", default=[], metavar="L", help="a loss that is left out, may be repeated")
    parser.add_argument("--sum", nargs=3, action="append", default=[], metavar=("NAME", "OTHER", "WEIGHT"),
                        help="Dice over Dice + CE on the last rung of one proxy, plus WEIGHT times that of another")
    parser.add_argument("--single", action="append", default=[], metavar="RUN", help="a run of `evolve` whose replicates are told apart")
    parser.add_argument("--lossgen", default="lossgen", help="the program, for `--single`")
    parser.add_argument("proxies", nargs="*", metavar="NAME=RUN")
    arguments = parser.parse_args()
    long = {name: cases for name, cases in trained(arguments.long).items() if name not in arguments.without}
    mean = lambda name, cases: statistics.fmean(long[name][case] for case in cases) if name in long else -1.0
    everywhere = sorted(next(iter(long.values())))
    order = sorted(long, key=lambda name: -mean(name, everywhere))
    print(f"long trainings, Dice [%] over {len(everywhere)} test volumes")
    for name in order:
        print(f"  {name:<18} {mean(name, everywhere):.2f}")
    first, second = halves(long)
    print(f"tau of one half of the test volumes with the other: {tau([(mean(n, first), mean(n, second)) for n in order]):+.2f}")
    apart = [
        (a, b)
        for a, b in itertools.combinations(order, 2)
        if wilcoxon([long[a][case] - long[b][case] for case in everywhere]) < 0.05
    ]
    print(f"pairs that they tell apart (p < 0.05): {len(apart)} of {len(order) * (len(order) - 1) // 2}\n")
    print("proxy           trainings     steps of a loss     tau  95 % interval    better half  told apart, ordered alike")
    last = {}
    for name, run in (text.split("=", 1) for text in arguments.proxies):
        for trainings, paid, gain in rungs(run):
            last[name] = gain
            common = [loss for loss in order if loss in gain]
            pairs = lambda losses, cases: [(gain[loss], mean(loss, cases)) for loss in losses]
            draw = random.Random(1)
            drawn = sorted(tau(pairs(common, draw.choices(everywhere, k=len(everywhere)))) for _ in range(1000))
            better = common[: (len(common) + 1) // 2]
            alike = [gain[a] > gain[b] for a, b in apart if a in gain and b in gain]
            print(
                f"{name:<15} {trainings:<13} {paid:>15}   {tau(pairs(common, everywhere)):+.2f}"
                f"  [{drawn[24]:+.2f}, {drawn[974]:+.2f}]   {tau(pairs(better, everywhere)):+11.2f}"
                f"  {100 * sum(alike) / max(len(alike), 1):.0f} % of {len(alike)}"
            )
    for run in arguments.single:
        for (kind, part, replicate), dice in sorted(single(arguments.lossgen, run, order).items(), key=str):
            if 2 * len(dice) < len(order):  # too few for an order
                continue
            value = tau([(dice[loss], mean(loss, everywhere)) for loss in order if loss in dice])
            alike = [dice[a] > dice[b] for a, b in apart if a in dice and b in dice]
            print(f"{run}: {kind}{f', 1/{part} of the steps' if part else ''}, replicate {replicate}, {len(dice)} losses: "
                  f"tau {value:+.2f}, {sum(alike)} of {len(alike)} told apart ordered alike")
    # A run of `train` says Dice in per cent and not over the control.
    over = lambda name, loss: (last[name][loss] - last[name]["dice_ce"]) / (100 if last[name]["dice_ce"] > 1 else 1)
    for name, other, weight in arguments.sum:
        common = [loss for loss in order if loss in last[name] and loss in last[other]]
        both = [over(name, loss) + float(weight) * over(other, loss) for loss in common]
        print(f"{name} + {weight} {other}: tau {tau(list(zip(both, [mean(loss, everywhere) for loss in common]))):+.2f}")


if __name__ == "__main__":
    main()
