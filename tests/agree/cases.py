"""Logits and targets by formula, and what the losses want of them: probabilities and distance maps by brute force."""

import functools
import math

import mpmath
import numpy as np
import torch

mpmath.mp.dps = 90


class Case:
    """Inputs by formula; `/` is integer division and i, v are flat indices in C order.

    Logits at i over N,C,D,H,W:
      sine      scale * sin(0.7 i + 0.3)
      towards   scale * (2 g - 1), g the target of that class (one class: a negative scale is wrong everywhere)
      away      several: scale where the class is (label + 1) % classes, else -scale
      constant  scale
    Targets, one class: 0 or 1 at i over N,1,D,H,W; several: a label at v over N,1,D,H,W:
      residues    one: i*i % 7 < 2; several: (v*v % 7) % 3
      blob        9 (d - D/2)^2 + 5 (h - H/2)^2 + 4 (w - W/2 + n)^2 <= 5 D; several: there 1 if w < W/2 and else 2
      empty       0
      full        1
      single      1 at (D/2, H/2, W/2) of each sample, else 0
      half_empty  residues in sample 0, 0 in the others
      absent      several: (v*v % 7) % 2, so that class 2 is absent
    """

    def __init__(self, shape, activation, logits, scale, target):
        self.shape, self.activation, self.logits, self.scale, self.target = shape, activation, logits, scale, target
        n, c, *volume = shape
        self.n, self.c, self.volume, self.v = n, c, volume, math.prod(volume)
        i = np.arange(n * self.v).reshape(n, *volume)
        depth, height, width = volume
        s, d, h, w = np.indices((n, *volume))
        middle = [d - depth // 2, h - height // 2, w - width // 2]
        blob = 9 * middle[0] ** 2 + 5 * middle[1] ** 2 + 4 * (middle[2] + s) ** 2 <= 5 * depth
        single = (middle[0] == 0) & (middle[1] == 0) & (middle[2] == 0)
        residues = (i * i % 7 < 2) if c == 1 else (i * i % 7) % 3
        self.labels = {
            "residues": lambda: residues,
            "blob": lambda: blob if c == 1 else blob * (1 + (w >= width // 2)),
            "empty": lambda: 0 * i,
            "full": lambda: 0 * i + 1,
            "single": lambda: single,
            "half_empty": lambda: residues * (s == 0),
            "absent": lambda: (i * i % 7) % 2,
        }[target]().astype(np.int64)
        self.g = np.stack([self.labels == k for k in range(c)] if c > 1 else [self.labels == 1], 1).astype(np.float64)
        flat = np.arange(n * c * self.v).reshape(shape)
        self.z = {
            "sine": lambda: scale * np.sin(0.7 * flat + 0.3),
            "towards": lambda: scale * (2.0 * self.g - 1.0),
            "away": lambda: scale * (2.0 * np.roll(self.g, 1, axis=1) - 1.0),
            "constant": lambda: np.full(shape, float(scale)),
        }[logits]()
        x = self.effective(torch.tensor(self.z).reshape(n, c, self.v))
        self.p = torch.sigmoid(x).numpy().reshape(shape)
        assert np.abs(self.p - 0.5).min() > 1e-6, "a voxel is neither predicted nor not"
        self.tops, self.maps = {}, {}

    def describe(self):
        return f"{self.activation} {self.shape} {self.logits} {self.scale} {self.target}"

    def effective(self, z):
        """The logit of which the sigmoid is p_c: z_c less the logarithm of the sum of the others' exponentials."""
        if self.activation == "sigmoid":
            return z
        others = [z[:, [j for j in range(self.c) if j != k]].logsumexp(1) for k in range(self.c)]
        return z - torch.stack(others, 1)

    def map(self, kind, spacing):
        key = (kind, spacing)
        if key not in self.maps:
            out = np.zeros((self.n, self.c, self.v))
            for n in range(self.n):
                for c in range(self.c):
                    mask = (self.p if kind == "prediction" else self.g)[n, c] > 0.5
                    out[n, c] = brute_map(mask, kind, spacing).ravel()
            self.maps[key] = out
        return self.maps[key]

    @functools.cached_property
    def precise(self):
        """p, 1 - p and their logarithms in 90 digits."""
        out = [np.empty((self.n, self.c, self.v), dtype=object) for _ in range(4)]
        z = self.z.reshape(self.n, self.c, self.v)
        for n in range(self.n):
            for v in range(self.v):
                for array, column in zip(out, precise_column(self, [mpmath.mpf(t) for t in z[n, :, v]])):
                    array[n, :, v] = column
        return out


def precise_column(case, z):
    if case.activation == "softmax":
        powers = [mpmath.exp(t) for t in z]
        z = [t - mpmath.log(mpmath.fsum(powers[:k] + powers[k + 1 :])) for k, t in enumerate(z)]
    e = [mpmath.exp(t) for t in z]
    return (
        [t / (1 + t) for t in e],
        [1 / (1 + t) for t in e],
        [-mpmath.log1p(1 / t) for t in e],
        [-mpmath.log1p(t) for t in e],
    )


def brute_distance(mask, spacing):
    """Distance of every voxel to the nearest of `mask`, by trying all."""
    at = np.indices(mask.shape).reshape(3, -1).T * np.asarray(spacing or (1.0, 1.0, 1.0))
    sites = at[mask.ravel()]
    return np.sqrt(((at[:, None] - sites[None]) ** 2).sum(-1).min(1)).reshape(mask.shape)


def brute_map(mask, kind, spacing):
    if not mask.any() or mask.all():
        return np.zeros(mask.shape)
    outside, inside = brute_distance(mask, spacing), brute_distance(~mask, spacing)
    if kind != "signed":
        return outside + inside
    if spacing is None:
        return np.where(mask, 1.0 - inside, outside)
    padded = np.pad(mask, 1)
    neighbours = [np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1] for axis in range(3) for step in (-1, 1)]
    rim = mask & ~np.logical_and.reduce(neighbours)
    return np.where(mask, -brute_distance(rim, spacing), outside)
