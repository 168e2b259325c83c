"""What searches cost and when they found something: runs of `lossgen evolve`, in one table.

    python benches/discovery.py --lossgen target/release/lossgen --above 0 --above 0.024 gated=RUN,RUN,RUN plain=RUN,RUN

Journals are read in the order in which trainings were finished. `--above G` says when a search first had a loss whose first
training of all steps gained more than G Dice on the control in the same training, in trainings of whatever length (those of
the control among them), optimiser steps and losses. A search that never had one counts as its whole length, which is then a
lower bound (`>`). The means of an arm are over its runs. Wilcoxon's signed-rank test over the validation cases asks whether
the difference is there at all (p < 0.05, not corrected: a search looks at many losses).
"""

import argparse
import collections
import json
import pathlib
import statistics

from grammar import ask
from strategies import wilcoxon


def lines(run):
    """Settings of a run, and its trainings in order."""
    with open(run / "journal.jsonl") as file:
        rows = [json.loads(line.split(" ", 1)[1]) for line in file if line.endswith("\n")]
    return rows[0]["run"]["context"], [row["training"] for row in rows[1:] if "training" in row]


def steps_of(context, trial):
    """Optimiser steps of a training."""
    if trial == "scratch":
        return int(context["proxy.warm_steps"])
    return -(-int(context["proxy.recipe.steps"]) // trial["proxy"]["part"])


def found(context, trainings, above):
    """Trainings, steps and losses until the first loss is above; whether there was one."""
    # The control is the one loss that is in every trial.
    control = collections.Counter(training["loss"] for training in trainings).most_common(1)[0][0]
    controls, losses, steps, waiting = {}, set(), 0, {}
    for number, training in enumerate(trainings, 1):
        steps += steps_of(context, training["trial"])
        losses.add(training["loss"])
        trial = json.dumps(training["trial"])
        score = training["outcome"].get("Trained")
        if training["trial"] == "scratch" or training["trial"]["proxy"]["part"] != 1 or score is None:
            continue
        if training["loss"] == control:
            controls[trial] = score["dice"]
        else:
            waiting.setdefault(trial, []).append(score["dice"])
        for dice in waiting.get(trial, []) if trial in controls else []:
            differences = [a - b for a, b in zip(dice, controls[trial])]
            if statistics.fmean(differences) > above and wilcoxon(differences) < 0.05:
                return number, steps, len(losses), True
        if trial in controls:
            waiting[trial] = []
    return len(trainings), steps, len(losses), False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lossgen", default="lossgen", help="the program")
    parser.add_argument("--above", type=float, action="append", required=True, metavar="G", help="Dice over the control")
    parser.add_argument("arms", nargs="+", metavar="NAME=RUN,RUN...")
    arguments = parser.parse_args()
    for name, runs in (text.split("=", 1) for text in arguments.arms):
        runs = [pathlib.Path(run) for run in runs.split(",")]
        print(f"\n{name}")
        whole = []
        for run in runs:
            context, trainings = lines(run)
            shown = ask(arguments.lossgen, "inspect", str(run))
            rejected = " ".join(f"{row['reason']} {row['candidates']}" for row in shown["rejected"])
            failed = sum("Trained" not in training["outcome"] for training in trainings)
            steps = sum(steps_of(context, training["trial"]) for training in trainings)
            whole.append((trainings, context))
            print(f"  {run}: {len(trainings)} trainings, {steps} steps, {failed} failed; rejected: {rejected or 'none'}")
            if shown.get("winner"):
                winner = shown["winner"]
                low, high = winner["interval"]
                print(f"    winner {winner['gain']:+.4f} [{low:+.4f}, {high:+.4f}], HD95 {winner['hd95_gain_mm']:+.2f} mm: {winner['loss']}")
        for above in arguments.above:
            reached = [found(context, trainings, above) for trainings, context in whole]
            mark = "" if all(hit for *_, hit in reached) else "> "
            means = [statistics.fmean(values) for values in list(zip(*reached))[:3]]
            hits = sum(hit for *_, hit in reached)
            print(
                f"  above {above:+.4f}: {hits} of {len(reached)} runs; mean trainings {mark}{means[0]:.0f}, "
                f"steps {mark}{means[1]:.0f}, losses {mark}{means[2]:.0f}"
            )


if __name__ == "__main__":
    main()
