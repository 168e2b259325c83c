"""Repeats and their report, in the shape of `lossgen bench --json`."""

import argparse
import json
import statistics
import time


def arguments(description):
    """The options that every script shares; add your own, then parse."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=int, default=20, help="how often it is measured")
    parser.add_argument("--warm-up", type=int, default=2, help="how often it is done before that, unmeasured")
    parser.add_argument("--threads", type=int, default=1, help="threads of the library")
    parser.add_argument("--json", action="store_true", help="accepted for likeness; the output is JSON in any case")
    return parser


class Parts:
    """Durations of the parts of one repeat: `lap("forward")` ends a part."""

    def __init__(self):
        self.milliseconds = {}
        self._last = time.perf_counter()

    def lap(self, name):
        now = time.perf_counter()
        self.milliseconds[name] = (now - self._last) * 1e3
        self._last = now


def measure(options, work):
    """Calls `work(parts)` as often as asked; returns the durations by part, and what the last call returned."""
    durations, result = {}, None
    for repeat in range(options.warm_up + options.repeats):
        parts = Parts()
        result = work(parts)
        if repeat >= options.warm_up:
            for name, milliseconds in parts.milliseconds.items():
                durations.setdefault(name, []).append(milliseconds)
    return durations, result


def report(benchmark, tool, options, durations, results, **others):
    """Prints one JSON object: settings, median and minimum of every part, figures, results."""
    found = {"benchmark": benchmark, "tool": tool, "repeats": options.repeats, "warm_up": options.warm_up}
    found["threads"] = options.threads
    for name, milliseconds in durations.items():
        found[f"{name}_ms"] = statistics.median(milliseconds)
        found[f"{name}_ms_min"] = min(milliseconds)
    print(json.dumps({**found, **others, "results": results}))


def peak_rss_mib():
    """Most memory that this process has held, in MiB; None where the system does not tell."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None
