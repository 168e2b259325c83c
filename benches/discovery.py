"""What searches cost and when they found something: runs of `lossgen evolve`, in one table.

    python benches/discovery.py --lossgen target/release/lossgen --catalog evolution evolution=RUN,RUN,RUN plain=RUN,RUN

Journals are read in the order in which trainings were finished. A loss is *scored* when its first whole replicate is done: Dice
over the control's in the same trainings, case by case, from scratch and from a start by their weights in the run. The
question is when a search first had a loss of its own that scores above Dice + CE, and above the best known loss (of the catalog,
or a guess of the configuration) that the run with the same seed of the arm `--catalog` scored: runs with one seed have the same
starts and patches, so the luck of the control is in both. Wilcoxon's signed-rank test over the validation cases asks whether
the difference is there at all (p < 0.05, not corrected: a search looks at many losses). A search that never had such a loss
counts as its whole length, which is then a lower bound (`>`); means are over the runs of an arm. Trainings are of whatever
length, those of the control among them.
"""

import argparse
import collections
import json
import pathlib
import statistics

from grammar import ask
from strategies import wilcoxon


class Run:
    """A run of `lossgen evolve`: its settings, and its trainings in order."""

    def __init__(self, program, path):
        with open(path / "journal.jsonl") as file:
            rows = [json.loads(line.split(" ", 1)[1]) for line in file if line.endswith("\n")]
        self.path, self.context = path, rows[0]["run"]["context"]
        # Without a generation, a training is of the last race, which is beyond the budget.
        trainings = [row["training"] for row in rows[1:] if "training" in row]
        self.trainings = [training for training in trainings if training["generation"] is not None]
        self.control = ask(program, "loss", "show", "dice_ce")["canonical"]
        self.shown = ask(program, "inspect", str(path), "--all")
        self.founders = {
            row["canonical"]: row["origin"]
            for row in self.shown["individuals"]
            if not row["parents"] and row["origin"] not in ("random", "atlas")
        }

    def steps(self, trial):
        """Optimiser steps of a training."""
        if "scratch" in trial or "sift" in trial:
            own = self.context["proxy.scratch_steps"]
            steps = int(self.context["proxy.warm_steps"] if own == "null" else own)
            return -(-steps // (trial["sift"]["part"] if "sift" in trial else 1))
        part = 3 if trial == "adapt" else trial["proxy"]["part"]
        return -(-int(self.context["proxy.recipe.steps"]) // part)

    def scored(self):
        """Trainings, steps and losses paid until a loss was scored, the loss, and its score in every case."""
        weight = float(self.context["search.scratch_weight"])
        weights = {kind: share for kind, share in (("start", 1 - weight), ("scratch", weight)) if share > 0}
        losses, steps, dice, told = set(), 0, collections.defaultdict(dict), set()
        for number, training in enumerate(self.trainings, 1):
            trial, loss = training["trial"], training["loss"]
            steps += self.steps(trial)
            losses.add(loss)
            kind = {"{'proxy': {'part': 1, 'replicate': 0}}": "start", "{'scratch': {'replicate': 0}}": "scratch"}.get(str(trial))
            score = training["outcome"].get("Trained")
            if kind is None or score is None:
                continue
            dice[loss][kind] = score["dice"]
            if any(kind not in dice[self.control] for kind in weights):
                continue
            for one in [one for one in dice if one not in told and all(kind in dice[one] for kind in weights)]:
                told.add(one)
                over = lambda kind, case: dice[one][kind][case] - dice[self.control][kind][case]
                cases = range(len(score["dice"]))
                yield (number, steps, len(losses)), one, [
                    sum(share * over(kind, case) for kind, share in weights.items()) for case in cases
                ]

    def spent(self):
        return len(self.trainings), sum(self.steps(training["trial"]) for training in self.trainings)

    def first(self, than):
        """When a loss first scored above another in the cases; how far the search went, if none did."""
        for paid, loss, score in self.scored():
            differences = [a - b for a, b in zip(score, than)]
            own = loss != self.control and loss not in self.founders
            if own and statistics.fmean(differences) > 0 and wilcoxon(differences) < 0.05:
                return paid, True
        return (*self.spent(), len({training["loss"] for training in self.trainings})), False


def catalog(run):
    """The best founder that a run scored: name and score in every case."""
    known = [(run.founders[loss], score) for _, loss, score in run.scored() if loss in run.founders]
    return max(known, key=lambda row: statistics.fmean(row[1]))


def report(run):
    """What a run did, in two lines."""
    trainings, steps = run.spent()
    failed = sum("Trained" not in training["outcome"] and "Adapted" not in training["outcome"] for training in run.trainings)
    rejected = sum(row["candidates"] for row in run.shown["rejected"])
    reasons = ", ".join(f"{row['reason']} {row['candidates']}" for row in run.shown["rejected"])
    losses = len({training["loss"] for training in run.trainings})
    scored = sum(1 for _ in run.scored())
    print(f"  {run.path}: generation {run.shown['generation']}; {rejected} rejected ({reasons or 'none'}), {losses} trained, "
          f"{scored} scored; {trainings} trainings ({failed} failed), {steps} steps")
    if run.shown.get("winner"):
        winner = run.shown["winner"]
        low, high = winner["gain"]["interval"]
        print(f"    winner: {winner['gain']['mean']:+.4f} [{low:+.4f}, {high:+.4f}], {winner['replicates']} replicate(s), "
              f"HD95 {winner['hd95_gain_mm']:+.2f} mm\n      {winner['loss']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lossgen", default="lossgen", help="the program")
    parser.add_argument("--catalog", required=True, metavar="NAME", help="the arm whose founders are what is known")
    parser.add_argument("arms", nargs="+", metavar="NAME=RUN,RUN...")
    arguments = parser.parse_args()
    arms = {name: runs.split(",") for name, runs in (text.split("=", 1) for text in arguments.arms)}
    arms = {name: [Run(arguments.lossgen, pathlib.Path(run)) for run in runs] for name, runs in arms.items()}
    known = {run.context["seed"]: catalog(run) for run in arms[arguments.catalog]}
    for seed, (name, score) in known.items():
        print(f"seed {seed}: the best known loss is {name}, {statistics.fmean(score):+.4f}")
    for name, runs in arms.items():
        print(f"\n{name}")
        for run in runs:
            report(run)
        zero = lambda run: [0.0] * len(known[run.context["seed"]][1])
        for what, than in (("Dice + CE", zero), ("the best known loss", lambda run: known[run.context["seed"]][1])):
            reached = [run.first(than(run)) for run in runs]
            mark = "" if all(hit for _, hit in reached) else "> "
            means = [statistics.fmean(values) for values in zip(*(paid for paid, _ in reached))]
            print(f"  above {what}: {sum(hit for _, hit in reached)} of {len(runs)} runs; mean trainings {mark}{means[0]:.0f}, "
                  f"steps {mark}{means[1]:.0f}, losses {mark}{means[2]:.0f}")
        own = lambda run: (statistics.fmean(score) for _, loss, score in run.scored() if loss != run.control)
        best = [max(own(run)) for run in runs]
        print(f"  best score of one replicate: {', '.join(f'{score:+.4f}' for score in best)}")


if __name__ == "__main__":
    main()
