"""The counterpart of `lossgen train configs/reference.ron`: the same trainings in PyTorch, to see whether ours are right.

Network, initial weights, normalisation, patches, flips, optimiser and schedule are those of `lossgen`, the random numbers are
not, so means over seeds compare, single trainings do not. Prints one JSON line a training. Needs torch, nibabel, numpy.
"""

import argparse
import json
from pathlib import Path

import nibabel
import numpy
import torch
from torch.nn import functional as F

from pytorch_step import CLIP, UNet3d, dice_ce

PATCH = (32, 48, 32)


def focal(logits, target):
    """Focal loss with gamma 2 (Lin et al. 2017)."""
    wrong = torch.exp(F.logsigmoid(-logits * (2 * target - 1)))
    return (wrong**2 * F.binary_cross_entropy_with_logits(logits, target, reduction="none")).mean()


LOSSES = {"ce": F.binary_cross_entropy_with_logits, "dice_ce": dice_ce, "focal": focal}


def read(folder, name):
    """A case: intensities clipped to the percentiles 0.5 and 99.5 and normalised, foreground merged, at least a patch."""
    image = numpy.asanyarray(nibabel.load(folder / "imagesTr" / f"{name}.nii.gz").dataobj).astype(numpy.float32)
    label = numpy.asanyarray(nibabel.load(folder / "labelsTr" / f"{name}.nii.gz").dataobj) > 0
    image = numpy.clip(image, *numpy.percentile(image, [0.5, 99.5]))
    image = (image - image.mean()) / image.std()
    pad = [(0, max(0, patch - length)) for patch, length in zip(PATCH, image.shape)]
    return numpy.pad(image, pad).astype(numpy.float32), numpy.pad(label, pad).astype(numpy.float32)


def patch(cases, generator):
    """A random patch of a random case, flipped along random axes."""
    image, label = cases[generator.integers(len(cases))]
    origin = [generator.integers(0, length - size + 1) for length, size in zip(image.shape, PATCH)]
    box = tuple(slice(start, start + size) for start, size in zip(origin, PATCH))
    flips = tuple(slice(None, None, -1 if generator.random() < 0.5 else 1) for _ in range(3))
    return image[box][flips].copy(), label[box][flips].copy()


def dice(network, image, label):
    """Of the whole volume, padded to what the network divides by."""
    padded = numpy.pad(image, [(0, -length % 4) for length in image.shape])
    with torch.no_grad():
        logits = network(torch.from_numpy(padded)[None, None])[0, 0].numpy()
    found, truth = logits[tuple(slice(0, length) for length in image.shape)] > 0, label > 0
    return float(2 * (found & truth).sum() / max(1, found.sum() + truth.sum()))


def train(loss, seed, steps, width, cases):
    generator = numpy.random.default_rng(seed)
    torch.manual_seed(seed)
    network = UNet3d(width, 3)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 - step / steps) ** 0.9)
    for _ in range(steps):
        images, labels = zip(*(patch(cases, generator) for _ in range(2)))
        image, target = (torch.from_numpy(numpy.stack(part))[:, None] for part in (images, labels))
        optimizer.zero_grad()
        LOSSES[loss](network(image), target).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        schedule.step()
    return network


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a folder in the form of the Medical Segmentation Decathlon")
    parser.add_argument("--splits", type=Path, required=True, help="splits_final.json; its first fold is used")
    parser.add_argument("--losses", nargs="+", default=list(LOSSES), choices=list(LOSSES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    fold = json.loads(options.splits.read_text())[0]
    cases = [read(options.data, name) for name in fold["train"]]
    unseen = [read(options.data, name) for name in fold["val"]]
    for seed in options.seeds:
        for loss in options.losses:
            network = train(loss, seed, options.steps, options.width, cases)
            values = [dice(network, *case) for case in unseen]
            row = {"loss": loss, "seed": seed, "steps": options.steps, "dice": float(numpy.mean(values))}
            print(json.dumps({**row, "torch": torch.__version__}), flush=True)


if __name__ == "__main__":
    main()
