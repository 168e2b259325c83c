"""What random losses of a grammar are worth to a network: runs of `configs/grammar.ron`, in one table.

    python benches/grammar.py --lossgen target/release/lossgen untyped=RUN gated=RUN polarity=RUN distance=RUN

Every run is a directory of `lossgen evolve configs/grammar.ron`, its individuals random losses of a grammar. Founders, in
whichever run they are, become a group of their own, the catalog: Dice + CE and cross-entropy have to be among them, because
everything else is measured by them. Every loss was trained twice: from a start that Dice + CE made, and from nothing.
"""

import argparse
import json
import math
import statistics
import subprocess


def ask(program, *line):
    """The object that a command prints."""
    return json.loads(subprocess.run([program, *line, "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout)


def rows(program, run):
    """The individuals of a run, with what the last gate says of each, whether or not its run asked."""
    for row in ask(program, "inspect", run, "--all")["individuals"]:
        shown = ask(program, "loss", "show", row["loss"])
        shares = list(shown["descent"].values())
        row["descent"] = None if None in shares else min(shares)
        row["rejection"] = shown["rejection"] or ("reversed" if shown["reversed"] else None)
        if row["rejection"] is None and (row["descent"] is None or row["descent"] < 0.9):
            row["rejection"] = "stuck"
        yield row


def tau(pairs):
    """Kendall's tau-b of pairs; NaN if one side is constant (Kendall 1945)."""
    agreement = first = second = 0
    for i, (a, b) in enumerate(pairs):
        for c, d in pairs[:i]:
            x, y = (a > c) - (a < c), (b > d) - (b < d)
            agreement, first, second = agreement + x * y, first + abs(x), second + abs(y)
    return agreement / math.sqrt(first * second) if first * second else math.nan


def quantiles(values):
    """Smallest, quartiles and largest."""
    ordered = sorted(values)
    at = lambda share: ordered[round(share * (len(ordered) - 1))]
    return [at(share) for share in (0, 0.25, 0.5, 0.75, 1)]


def share(part, whole):
    """A share with its 95 % interval (Wilson 1927)."""
    n, p, z = len(whole), len(part) / len(whole), 1.96
    middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = max(middle - spread, 0.0) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)
    return f"{len(part)} of {n}: {100 * p:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def fisher(first, of_first, second, of_second):
    """Two-sided p of Fisher's exact test: all tables that are no likelier than this one (Fisher 1935)."""
    hits, everybody = first + second, of_first + of_second
    likely = lambda k: math.comb(of_first, k) * math.comb(of_second, hits - k) / math.comb(everybody, hits)
    tables = [likely(k) for k in range(max(0, hits - of_second), min(hits, of_first) + 1)]
    return sum(table for table in tables if table <= likely(first) * (1 + 1e-9))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lossgen", default="lossgen", help="the program")
    parser.add_argument("--list", action="store_true", help="print every loss, too")
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN", help="one of them with the catalog for founders")
    arguments = parser.parse_args()
    everybody = {}
    for name, run in (text.split("=", 1) for text in arguments.runs):
        for row in rows(arguments.lossgen, run):
            everybody.setdefault(name if row["origin"] == "random" else "catalog", []).append(row)
    found = {name: everybody[name] for name in sorted(everybody, key=lambda name: name == "catalog")}
    known = {row["origin"]: row for row in found["catalog"]}
    controls = [known["dice_ce"], known["ce"]]
    of = lambda row, key: row[key] if row[key] is not None else -1.0
    # Elites, which are trained from nothing too, are fewer than the population: the last one was not. Who diverged has neither.
    tried = lambda losses, key: [row for row in losses if key == "dice" or row[key] is not None or row["dice"] is None]
    for key, title in (("scratch_dice", "from nothing"), ("dice", "from the shared start")):
        print(f"\n{title}: Dice + CE {controls[0][key]:.4f}, cross-entropy {controls[1][key]:.4f}")
        counts = {}
        for name, losses in ((name, tried(losses, key)) for name, losses in found.items()):
            dice = [max(of(row, key), 0.0) for row in losses]
            print(f"  {name:<10} Dice, least, quartiles, most: " + " ".join(f"{value:.3f}" for value in quantiles(dice)))
            for control, label in zip(controls, ("Dice + CE", "cross-entropy")):
                good = [row for row in losses if of(row, key) >= 0.5 * control[key]]
                near = [row for row in losses if of(row, key) >= 0.95 * control[key]]
                above = [row for row in losses if of(row, key) > control[key]]
                print(f"             at least 0.5 of {label} {share(good, losses)}")
                print(f"             at least 0.95 of it {share(near, losses)}; above it {len(above)}")
                counts[name, label] = len(near), len(losses)
        for label in ("Dice + CE", "cross-entropy"):
            for first, second in zip(list(found), list(found)[1:]):
                p = fisher(*counts[first, label], *counts[second, label])
                print(f"  0.95 of {label}, {first} against {second}: p = {p:.2g} (Fisher's exact test)")
    print("\nKendall's tau between the share of Dice + CE that free predictions reach (the least over starts) and Dice")
    for name, losses in [*found.items(), ("all", [row for losses in found.values() for row in losses])]:
        for key, title in (("scratch_dice", "from nothing"), ("dice", "from the shared start")):
            pairs = [(of(row, "descent"), of(row, key)) for row in tried(losses, key)]
            print(f"  {name:<10} {title:<22} {tau(pairs):+.2f}  (n = {len(pairs)})")
    print("\nKendall's tau between Dice from nothing and Dice from the shared start")
    for name, losses in found.items():
        both = tried(losses, "scratch_dice")
        pairs = [(of(row, "scratch_dice"), of(row, "dice")) for row in both]
        print(f"  {name:<10} {tau(pairs):+.2f}  (n = {len(pairs)})")
    print("\nwhat the gates say of those that were trained, and the median Dice from nothing of each verdict")
    for name, losses in found.items():
        for reason in sorted({row["rejection"] or "" for row in losses}):
            those = [row for row in tried(losses, "scratch_dice") if (row["rejection"] or "") == reason]
            dice = [max(of(row, "scratch_dice"), 0.0) for row in those]
            print(f"  {name:<10} {reason or 'passes':<24} {len(dice):>3}  {statistics.median(dice):.3f}")
    if arguments.list:
        print("\nDice from nothing, from the shared start, share of Dice + CE in free predictions, words")
        for name, losses in found.items():
            for row in sorted(tried(losses, "scratch_dice"), key=lambda row: of(row, "scratch_dice")):
                values = [f"{of(row, key):6.3f}" for key in ("scratch_dice", "dice", "descent")]
                print(f"  {name:<10} {' '.join(values)} {row['size']:>3}  {row['loss']}")


if __name__ == "__main__":
    main()
