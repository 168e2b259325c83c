"""Golden values of the losses, from tools that know nothing of this project.

Writes losses.json beside this file: for each row the value of a loss and its gradient with respect to the logits, in
float64. The inputs are formulas (`cases.Case`), so that a test needs no arrays.

Each row is computed by
  1. public implementations, where they have the loss (`libraries.tools`): MONAI, PyTorch, nnU-Net,
     segmentation_models.pytorch ("smp"); SciPy for distance maps. Casts to float32 inside MONAI and nnU-Net are lifted
     (`libraries.lifted`), nothing else is changed;
  2. the paper's formula, written without cancellation, with PyTorch's automatic differentiation and distance maps by
     brute force (`formulas.from_formula`);
  3. the same formula in 90 digits with mpmath, its gradient by differences, at the stored voxels.
2 and 3 have to agree within 1e-11. What is stored is the first public implementation that agrees with 2 within 1e-11
(gradient: of its largest component), else 2. A row names who agrees, and who differs and why: every disagreement has to
be one of `KNOWN`.

Needs torch, monai, scipy, mpmath and, without their dependencies, segmentation-models-pytorch and nnunetv2
(`pip install --no-deps --target DIR segmentation-models-pytorch nnunetv2`). Run: PYTHONPATH=DIR python generate.py
"""

import json
import math
import pathlib
import sys

import numpy as np
import torch

from cases import Case
from formulas import from_digits, from_formula
from libraries import VERSIONS, lifted, tools


MM = (3.0, 0.8, 0.5)
PLAIN = [
    "ce", "weighted_ce", "topk", "focal", "dice", "generalised_dice", "iou", "tversky", "asymmetric", "effectiveness",
    "boundary", "hausdorff", "log_hausdorff", "dice_ce", "dice_topk", "dice_focal", "tversky_focal", "focal_tversky",
    "focal_dice",
]  # fmt: skip
MULTI = [name for name in PLAIN if name != "weighted_ce"]
TIED = {"topk", "dice_topk"}
DISTANCES = ["boundary", "hausdorff", "log_hausdorff"]


def typed(name, kw):
    def text(value):
        if isinstance(value, bool):
            return str(value).lower()
        return "[" + ",".join(map(text, value)) + "]" if isinstance(value, list) else f"{value:g}"

    return name + (f"({','.join(f'{key}={text(value)}' for key, value in kw.items())})" if kw else "")


def plan():
    """(loss, case, spacing) of every row."""
    small, large, three, one_three = (2, 1, 4, 5, 6), (1, 1, 8, 9, 10), (2, 3, 4, 5, 6), (1, 3, 8, 9, 10)
    cases = {}

    def case(*key):
        if key not in cases:
            cases[key] = Case(*key)
        return cases[key]

    def rows(where, losses, spacing=None):
        for loss in losses:
            name, kw = (loss, {}) if isinstance(loss, str) else loss
            yield (name, kw), case(*where), spacing

    def in_mm(*more):
        return [(name, {"spacing": True} | kw) for name in DISTANCES for kw in ({}, *more)] + [
            ("hausdorff", {"one_sided": True, "spacing": True})
        ]

    either = [
        ("ce", {"label_smoothing": 0.1}), ("topk", {"k": 25}), ("topk", {"k": 100}), ("focal", {"gamma": 1.5}),
        ("focal", {"gamma": 0.5}), ("focal", {"gamma": 0}), ("focal", {"alpha": 0.25}), ("dice", {"batch": True}),
        ("dice", {"squared": True}), ("dice", {"smooth_nr": 1, "smooth_dr": 1}), ("dice", {"smooth_nr": 0}),
        ("dice", {"batch": True, "squared": True}), ("iou", {"batch": True}), ("tversky", {"batch": True}),
        ("tversky", {"fp_weight": 0.6, "fn_weight": 0.4}), ("asymmetric", {"beta": 2}), ("asymmetric", {"batch": True}),
        ("effectiveness", {"beta": 0.5}), ("dice_ce", {"batch": True}),
        ("dice_ce", {"dice_weight": 0.5, "ce_weight": 2}), ("dice_topk", {"k": 25}), ("dice_focal", {"gamma": 1.5}),
        ("dice_focal", {"focal_weight": 0.5}), ("focal_tversky", {"exponent": 0.5}), ("focal_tversky", {"batch": True}),
        ("focal_dice", {"exponent": 0.5}), ("hausdorff", {"one_sided": True}), ("log_hausdorff", {"one_sided": True}),
    ]  # fmt: skip
    weighted = [("weighted_ce", {"pos_weight": 2})]
    yield from rows((small, "sigmoid", "sine", 3, "residues"), PLAIN + weighted + either)
    yield from rows((small, "sigmoid", "sine", 3, "residues"), in_mm(), MM)
    yield from rows((large, "sigmoid", "sine", 3, "blob"), PLAIN + weighted + either)
    yield from rows((large, "sigmoid", "sine", 3, "blob"), in_mm(), MM)
    yield from rows((small, "sigmoid", "sine", 1, "residues"), PLAIN)
    yield from rows((small, "sigmoid", "sine", 30, "residues"), PLAIN)
    yield from rows((small, "sigmoid", "sine", 3, "blob"), DISTANCES)
    yield from rows((small, "sigmoid", "sine", 3, "blob"), in_mm(), MM)
    batched = [("dice", {"batch": True}), ("tversky", {"batch": True}), ("dice", {"squared": True})]
    for target in ("empty", "full", "single", "half_empty"):
        yield from rows((small, "sigmoid", "sine", 3, target), PLAIN + batched)
        yield from rows((small, "sigmoid", "sine", 3, target), in_mm(), MM)
    untied = [name for name in PLAIN if name not in TIED]
    for kind, scale, target in [
        ("towards", 50, "residues"), ("towards", -50, "residues"), ("constant", -50, "empty"),
        ("constant", 50, "empty"), ("constant", 50, "full"), ("constant", -50, "full"),
    ]:  # fmt: skip
        yield from rows((small, "sigmoid", kind, scale, target), untied)

    background = [(name, {"background": True}) for name in (
        "dice", "generalised_dice", "iou", "tversky", "boundary", "hausdorff", "dice_ce", "focal_tversky",
    )]  # fmt: skip
    of_classes = background + [
        ("dice", {"class_weights": [1, 2]}), ("dice", {"background": True, "class_weights": [0.5, 1, 2]}),
    ]  # fmt: skip
    of_softmax = [
        ("weighted_ce", {"class_weights": [0.5, 1, 2]}),
        ("weighted_ce", {"class_weights": [0.5, 1, 2], "label_smoothing": 0.1}),
        ("dice_ce", {"label_smoothing": 0.1}),
    ]
    for shape, target in ((three, "residues"), (one_three, "blob")):
        where = (shape, "softmax", "sine", 3, target)
        yield from rows(where, MULTI + either + of_classes + of_softmax)
        yield from rows(where, in_mm({"background": True}), MM)
    yield from rows((three, "softmax", "sine", 3, "blob"), DISTANCES + ["generalised_dice"])
    yield from rows((three, "softmax", "sine", 30, "residues"), MULTI)
    for target in ("absent", "empty", "full", "single", "half_empty"):
        yield from rows((three, "softmax", "sine", 3, target), MULTI + batched + [("generalised_dice", {"background": True})])
    for kind in ("towards", "away"):
        yield from rows((three, "softmax", kind, 50, "residues"), [name for name in MULTI if name not in TIED])
    for target in ("residues", "absent"):
        yield from rows((three, "sigmoid", "sine", 3, target), MULTI + of_classes)
        yield from rows((three, "sigmoid", "sine", 3, target), either if target == "residues" else [])


# Why a public implementation differs from the formula: (a part of its name, whether this is that case, reason).
KNOWN = [
    ("", lambda name, kw, case: case.logits != "sine", "saturated: p rounds to 1, so that slopes vanish and 1 - score cancels"),
    ("smp", lambda name, kw, case: 0 in case.g.sum((0, 2, 3, 4)), "a class that the batch does not have counts 0"),
    ("", lambda name, kw, case: case.target == "empty", "the slope 1 / D - N / D^2 cancels without a target"),
]


def differentiated(function, case):
    z = torch.tensor(case.z, requires_grad=True)
    value = function(z)
    value.backward()
    slopes = torch.zeros_like(z) if z.grad is None else z.grad
    return value.item(), slopes.numpy().ravel().copy()


def deviation(a, b, gradient_a, gradient_b):
    largest = max(np.abs(gradient_b).max(), 1e-300)
    value = abs(a - b) / max(abs(b), 1e-300) if a != b else 0.0
    return value, np.abs(gradient_a - gradient_b).max() / largest


def row_of(loss, case, spacing, report):
    """One row, and what the tools said of it into `report`."""
    name, kw = loss
    value, gradient = differentiated(from_formula(loss, case, spacing), case)
    assert math.isfinite(value) and np.isfinite(gradient).all(), typed(name, kw)
    even = np.linspace(0, gradient.size - 1, 11).round().astype(int)
    voxels = sorted({*even.tolist(), int(np.abs(gradient).argmax())})
    precise, slopes = from_digits(loss, case, spacing, voxels)
    off = deviation(value, precise, gradient[voxels], slopes)
    if max(off) > 1e-11:
        report.unexplained.append(("mpmath", typed(name, kw), case.describe(), off, value, precise))
    agreeing, differing, stored = [], [], None
    for tool, function in tools(loss, case, spacing):
        with lifted():
            theirs = differentiated(function, case)
        off = deviation(theirs[0], value, theirs[1], gradient)
        library = tool.split(",")[0]
        label = tool.replace(library, f"{library} {VERSIONS[library]}", 1)
        if max(off) <= 1e-11:
            agreeing.append(report.tool(label))
            stored = stored or theirs
            raw = differentiated(function, case)
            report.cast(label, deviation(raw[0], value, raw[1], gradient))
            continue
        reason = next((why for who, when, why in KNOWN if who in tool and when(name, kw, case)), None)
        report.differing.setdefault(reason, []).append((label, typed(name, kw), off))
        differing.append([report.tool(label), reason])
        if reason is None:
            report.unexplained.append((label, typed(name, kw), case.describe(), off, theirs[0], value))
    value, gradient = stored or (value, gradient)
    agreeing += [report.tool(f"formula, {library} {VERSIONS[library]}") for library in ("PyTorch", "mpmath")]
    row = {"loss": typed(name, kw)} | ({"spacing": spacing} if spacing else {})
    row |= {"value": value, "largest": np.abs(gradient).max(), "sum": math.fsum(gradient), "tools": agreeing}
    row |= {"differs": differing} if differing else {}
    return row | {"gradient": [[v, gradient[v]] for v in voxels]}


class Report:
    """What the tools said of each other."""

    def __init__(self):
        self.tools, self.differing, self.casts, self.unexplained = [], {}, {}, []

    def tool(self, label):
        if label not in self.tools:
            self.tools.append(label)
        return self.tools.index(label)

    def cast(self, label, off):
        self.casts[label] = [max(a, b) for a, b in zip(self.casts.get(label, (0.0, 0.0)), off)]

    def print(self):
        for entry in self.unexplained:
            print("UNEXPLAINED", *entry)
        for reason, entries in self.differing.items():
            worst = [max(off[side] for _, _, off in entries) for side in (0, 1)]
            print(f"{len(entries)} x {reason}; at most {worst[0]:.1e} of the value, {worst[1]:.1e} of the largest slope")
            for label in sorted({label for label, _, _ in entries}):
                print(f"    {label}: {', '.join(sorted({loss for tool, loss, _ in entries if tool == label}))}")
        print("with the casts to float32 left in, relative deviation of value and gradient:")
        for label, (value, slope) in sorted(self.casts.items()):
            print(f"    {label}: {value:.1e}, {slope:.1e}")


def main():
    report, cases = Report(), {}
    for loss, case, spacing in plan():
        cases.setdefault(case, []).append(row_of(loss, case, spacing, report))
    names = [(case.describe(), row["loss"], row.get("spacing")) for case, rows in cases.items() for row in rows]
    assert len(set(names)) == len(names), "a row is there twice"
    head = {
        "versions": VERSIONS,
        "tools": report.tools,
        "inputs": [line.strip() for line in Case.__doc__.splitlines() if line.strip()],
        "columns": "spacing: mm along D,H,W, none = voxels; gradient: [flat index over N,C,D,H,W, slope]; largest: of "
        "|gradient|; sum: of the gradient; tools: numbers of those that agree, the first one's numbers are stored; "
        "differs: [number of a tool, why]",
    }

    def compact(thing):
        return json.dumps(thing, allow_nan=False, separators=(",", ":"))

    blocks = []
    for case, rows in cases.items():
        start = {"activation": case.activation, "classes": case.c, "shape": list(case.shape)}
        start |= {"logits": case.logits, "scale": case.scale, "target": case.target}
        blocks.append(compact(start)[:-1] + ',"rows":[\n' + ",\n".join(map(compact, rows)) + "]}")
    text = json.dumps(head, indent=1)[:-2] + ',\n "cases": [\n' + ",\n".join(blocks) + "\n]}\n"
    json.loads(text)
    pathlib.Path(__file__).with_name("losses.json").write_text(text)
    print(f"{len(names)} rows, {len({name[1] for name in names})} losses, {len(cases)} inputs, {len(text)} bytes")
    report.print()
    if report.unexplained:
        sys.exit(f"{len(report.unexplained)} disagreements without a reason")


if __name__ == "__main__":
    main()
