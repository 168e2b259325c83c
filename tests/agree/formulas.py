"""The papers' formulas, written once for tensors (PyTorch differentiates) and for arrays of 90 digits (mpmath)."""

import math

import mpmath
import numpy as np
import torch
import torch.nn.functional as F

from cases import precise_column


class Probability(torch.autograd.Function):
    """The sigmoid with the slope p (1 - p) from two sigmoids: PyTorch's 1 - p is 0 from x = 37 on."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return torch.sigmoid(x)

    @staticmethod
    def backward(context, slope):
        (x,) = context.saved_tensors
        return slope * torch.sigmoid(x) * torch.sigmoid(-x)


class Share(torch.autograd.Function):
    """b / (a + b), whose slopes -b / (a + b)^2 and a / (a + b)^2 cancel as 1 / (a + b) - b / (a + b)^2 where a is small."""

    @staticmethod
    def forward(context, a, b):
        context.save_for_backward(a, b)
        return b / (a + b)

    @staticmethod
    def backward(context, slope):
        a, b = context.saved_tensors
        return -slope * b / (a + b) ** 2, slope * a / (a + b) ** 2


class Tensors:
    share = staticmethod(Share.apply)
    log1p = staticmethod(torch.log1p)
    data = staticmethod(torch.as_tensor)

    @staticmethod
    def at_least(x, low):
        return x.clamp(min=low)


class Digits:
    @staticmethod
    def share(a, b):
        return b / (a + b)

    log1p = staticmethod(mpmath.log1p)

    @staticmethod
    def data(x):
        return np.asarray(x)

    @staticmethod
    def at_least(x, low):
        return np.frompyfunc(lambda t: max(t, mpmath.mpf(low)), 1, 1)(x)


def formula(loss, case, spacing, arrays, engine):
    """Value of a loss from p, 1 - p and their logarithms, each [N, C, V]."""
    name, kw = loss
    p, q, log_p, log_q = arrays
    g = engine.data(case.g.reshape(case.n, case.c, case.v))
    softmax = case.activation == "softmax"
    several = case.c > 1
    first = 1 if several and not kw.get("background") else 0
    wrong = g * q + (1 - g) * p  # |p - g|, without cancellation
    voxels = case.n * case.v

    def mean(x):
        return x.sum() / math.prod(x.shape)

    def total(x):
        return (x.sum((0, 2)).reshape(1, -1) if kw.get("batch") else x.sum(2))[:, first:]

    def over_regions(x):
        weights = kw.get("class_weights")
        return mean(x if weights is None else x * engine.data(np.asarray(weights, dtype=float)))

    def ce():
        a = kw.get("label_smoothing", 0.0)
        if softmax:
            return mean(-(((1 - a) * g + a / case.c) * log_p).sum(1))
        y = (1 - a) * g + a / 2
        return mean(-(y * log_p + (1 - y) * log_q))

    def weighted_ce():
        if not softmax:
            return mean(-(kw.get("pos_weight", 3) * g * log_p + (1 - g) * log_q))
        a = kw.get("label_smoothing", 0.0)
        w = engine.data(np.asarray(kw["class_weights"], dtype=float).reshape(1, -1, 1))
        return -(w * ((1 - a) * g + a / case.c) * log_p).sum() / (w * g).sum()

    def topk():
        each = (-(g * log_p).sum(1) if softmax else -(g * log_p + (1 - g) * log_q)).reshape(-1)
        k = kw.get("k", 10)
        if k not in case.tops:  # the first call is with tensors; the set is frozen for the differences
            ordered = each.detach().sort(descending=True)
            kept = max(1, math.floor(len(each) * k / 100))
            assert kept == len(each) or ordered.values[kept - 1] - ordered.values[kept] > 1e-6, "a tie in top-k"
            case.tops[k] = ordered.indices[:kept].numpy()
        return mean(each[case.tops[k]])

    def focal():
        gamma, alpha = kw.get("gamma", 2.0), kw.get("alpha")
        if softmax:
            each = g * wrong**gamma * -log_p
            if alpha is not None:
                each = each * engine.data(np.asarray([1 - alpha] + [alpha] * (case.c - 1)).reshape(1, -1, 1))
            return each.sum() / voxels
        weight = 1.0 if alpha is None else alpha * g + (1 - alpha) * (1 - g)
        return mean(weight * wrong**gamma * -(g * log_p + (1 - g) * log_q))

    def dice_of_regions():
        s_n, s_d = kw.get("smooth_nr", 1e-5), kw.get("smooth_dr", 1e-5)
        # sum p^2 + sum g^2 = sum (p - g)^2 + 2 sum p g
        mistakes = total(wrong * wrong) if kw.get("squared") else total(p * (1 - g)) + total(q * g)
        return engine.share(2 * total(p * g) + s_n, mistakes + (s_d - s_n))

    def tversky_of_regions(fp_weight=0.3, fn_weight=0.7):
        fp_weight, fn_weight = kw.get("fp_weight", fp_weight), kw.get("fn_weight", fn_weight)
        mistakes = fp_weight * total(p * (1 - g)) + fn_weight * total(q * g)
        return engine.share(total(p * g) + 1e-5, mistakes)

    def f_beta(beta):
        square = kw.get("beta", beta) ** 2
        return over_regions(tversky_of_regions(1 / (1 + square), square / (1 + square)))

    def power(x):
        return over_regions(engine.at_least(x, 1e-7) ** kw.get("exponent", 0.75))

    def generalised_dice():
        sizes = case.g.reshape(case.n, case.c, -1).sum(2)[:, first:]
        weights = np.array([[0.0 if size == 0 else 1 / size**2 for size in row] for row in sizes])
        weights = engine.data(np.where(sizes == 0, weights.max(1, keepdims=True), weights))
        mistakes = (weights * (total(p * (1 - g)) + total(q * g))).sum(1)
        return mean(engine.share((weights * 2 * total(p * g)).sum(1) + 1e-5, mistakes))

    def boundary():
        return over_regions(total(p * engine.data(case.map("signed", spacing))) / case.v)

    def hausdorff():
        squares = case.map("target", spacing) ** 2
        if not kw.get("one_sided"):
            squares = squares + case.map("prediction", spacing) ** 2
        return over_regions(total(wrong * wrong * engine.data(squares)) / case.v)

    def dice():
        return over_regions(dice_of_regions())

    def added(one, other, other_weight):
        return kw.get("dice_weight", 1) * one + kw.get(other_weight, 1) * other

    return {
        "ce": ce,
        "weighted_ce": weighted_ce,
        "topk": topk,
        "focal": focal,
        "dice": dice,
        "generalised_dice": generalised_dice,
        "iou": lambda: over_regions(tversky_of_regions(1, 1)),
        "tversky": lambda: over_regions(tversky_of_regions()),
        "asymmetric": lambda: f_beta(1.5),
        "effectiveness": lambda: f_beta(1),
        "boundary": boundary,
        "hausdorff": hausdorff,
        "log_hausdorff": lambda: engine.log1p(hausdorff()),
        "dice_ce": lambda: added(dice(), ce(), "ce_weight"),
        "dice_topk": lambda: added(dice(), topk(), "ce_weight"),
        "dice_focal": lambda: added(dice(), focal(), "focal_weight"),
        "tversky_focal": lambda: over_regions(tversky_of_regions()) + focal(),
        "focal_tversky": lambda: power(tversky_of_regions()),
        "focal_dice": lambda: power(dice_of_regions()),
    }[name]()


def from_formula(loss, case, spacing):
    def run(z):
        x = case.effective(z.reshape(case.n, case.c, case.v))
        arrays = (Probability.apply(x), Probability.apply(-x), F.logsigmoid(x), F.logsigmoid(-x))
        return formula(loss, case, spacing, arrays, Tensors)

    return run


def from_digits(loss, case, spacing, voxels):
    arrays = case.precise
    value = formula(loss, case, spacing, arrays, Digits)
    step, slopes = mpmath.mpf(10) ** -20, []
    for voxel in voxels:
        n, c, v = np.unravel_index(voxel, (case.n, case.c, case.v))
        sides = []
        for sign in (1, -1):
            z = [mpmath.mpf(t) for t in case.z.reshape(case.n, case.c, case.v)[n, :, v]]
            z[c] += sign * step
            moved = [array.copy() for array in arrays]
            for array, column in zip(moved, precise_column(case, z)):
                array[n, :, v] = column
            sides.append(formula(loss, case, spacing, moved, Digits))
        slopes.append(float((sides[0] - sides[1]) / (2 * step)))
    return float(value), np.array(slopes)
