"""Runs two benchmarks in turn and compares them: medians and minima of each, and the ratio of every pair.

    python benches/pair.py --rounds 10 "lossgen bench distance --json --threads 1" "python benches/scipy_distance.py"

Both commands print one JSON object as `lossgen bench --json` does. They alternate, and change places every round, because
on a shared machine a minute of one and then a minute of the other compares the minutes. A ratio is second over first, so
above 1 the first is faster; its spread over the rounds says how far to trust it.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys


def run(command):
    """The object that a command prints."""
    done = subprocess.run(shlex.split(command), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"error: `{command}` ended with exit code {done.returncode}")
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        sys.exit(f"error: `{command}` printed no JSON object; does it need --json?")


def differences(first, second, tolerance):
    """Results and settings that both tools have and do not agree on."""
    settings = {"threads", "shape", "spacing_mm", "mask", "size", "batch", "width", "levels", "loss", "precision"}
    for name in sorted(settings & first.keys() & second.keys()):
        if first[name] != second[name]:
            yield f"{name}: {first[name]} and {second[name]}"
    for name in sorted(first["results"].keys() & second["results"].keys()):
        a, b = first["results"][name], second["results"][name]
        if abs(a - b) > tolerance * max(abs(a), abs(b)):
            yield f"{name}: {a} and {b}"


def row(name, first, second):
    """One line of the table: a duration in both tools, and the ratio of every round."""
    (medians, minima), (other_medians, other_minima) = (
        ([found[f"{name}_ms"] for found in tool], [found[f"{name}_ms_min"] for found in tool])
        for tool in (first, second)
    )
    ratios = [other / own for own, other in zip(medians, other_medians)]
    return {
        "first_ms": statistics.median(medians), "first_ms_min": min(minima),
        "second_ms": statistics.median(other_medians), "second_ms_min": min(other_minima),
        "ratio": statistics.median(ratios), "ratio_low": min(ratios), "ratio_high": max(ratios),
        "ratio_of_minima": min(other_minima) / min(minima),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", help="a command, in quotes")
    parser.add_argument("second", help="the command to compare it with, in quotes")
    parser.add_argument("--rounds", type=int, default=10, help="how often each is run")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="relative difference at which results count as equal")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")
    options = parser.parse_args()

    first, second = [], []
    for number in range(options.rounds):
        places = [(first, options.first), (second, options.second)]
        for found, command in places if number % 2 == 0 else reversed(places):
            found.append(run(command))

    names = [key.removesuffix("_ms") for key in second[0] if key.endswith("_ms") and key in first[0]]
    rows = {name: row(name, first, second) for name in names}
    memory = [max(found.get("peak_rss_mib") or 0.0 for found in tool) for tool in (first, second)]
    disagreements = list(differences(first[0], second[0], options.tolerance))
    if options.json:
        tools = [first[0]["tool"], second[0]["tool"]]
        found = {"tools": tools, "rounds": options.rounds, "rows": rows, "peak_rss_mib": memory}
        print(json.dumps({**found, "disagreements": disagreements}))
        return
    print(f"first   {first[0]['tool']}: {options.first}")
    print(f"second  {second[0]['tool']}: {options.second}")
    print(f"{options.rounds} rounds; medians of medians and smallest minima in ms; ratio = second / first\n")
    print(f"{'':12}{'first':>10}{'min':>10}{'second':>10}{'min':>10}{'ratio':>8}{'range':>14}{'of minima':>11}")
    for name, r in rows.items():
        spread = f"{r['ratio_low']:.2f}-{r['ratio_high']:.2f}"
        print(
            f"{name:12}{r['first_ms']:10.2f}{r['first_ms_min']:10.2f}{r['second_ms']:10.2f}{r['second_ms_min']:10.2f}"
            f"{r['ratio']:8.2f}{spread:>14}{r['ratio_of_minima']:11.2f}"
        )
    if all(memory):
        print(f"\npeak memory {memory[0]:.0f} and {memory[1]:.0f} MiB")
    print("\n" + ("\n".join(f"not the same: {line}" for line in disagreements) or "settings and results agree"))


if __name__ == "__main__":
    main()
