"""The public implementations of the losses, called as their users call them."""

import contextlib
import functools
import importlib.machinery
import importlib.metadata
import sys
import types
import warnings

import mpmath
import numpy as np
import scipy
import torch
import torch.nn.functional as F
from scipy.ndimage import binary_erosion, distance_transform_edt

warnings.filterwarnings("ignore")
import monai  # noqa: E402
import monai.losses as monai_losses  # noqa: E402
import monai.losses.boundary_loss  # noqa: E402, F401
import monai.losses.hausdorff_loss  # noqa: E402, F401

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def import_losses(package, submodule):
    """A subpackage whose parent's `__init__` would import what is not needed here (networks, image readers)."""
    root = importlib.machinery.PathFinder.find_spec(package)
    parent = types.ModuleType(package)
    parent.__path__ = list(root.submodule_search_locations)
    sys.modules[package] = parent
    return importlib.import_module(f"{package}.{submodule}")


smp = import_losses("segmentation_models_pytorch", "losses")
smp_functions = importlib.import_module("segmentation_models_pytorch.losses._functional")
nnunet_compound = import_losses("nnunetv2", "training.loss.compound_losses")
nnunet_dice = importlib.import_module("nnunetv2.training.loss.dice")
nnunet_ce = importlib.import_module("nnunetv2.training.loss.robust_ce_loss")

VERSIONS = {
    "MONAI": monai.__version__,
    "PyTorch": torch.__version__.split("+")[0],
    "nnU-Net": importlib.metadata.version("nnunetv2"),
    "smp": importlib.metadata.version("segmentation-models-pytorch"),
    "SciPy": scipy.__version__,
    "mpmath": mpmath.__version__,
}


class DoubleTorch(types.ModuleType):
    """`torch`, with float64 where a module asks for float32."""

    float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


@contextlib.contextmanager
def lifted():
    """Lifts casts to float32: `.float()` in MONAI, `torch.float32` in MONAI's boundary loss and in nnU-Net."""
    modules = [sys.modules["monai.losses.boundary_loss"], nnunet_dice]
    cast, double = torch.Tensor.float, DoubleTorch("torch")
    try:
        torch.Tensor.float = torch.Tensor.double
        for module in modules:
            module.torch = double
        yield
    finally:
        torch.Tensor.float = cast
        for module in modules:
            module.torch = torch


@contextlib.contextmanager
def monai_spacing(spacing):
    """MONAI's Hausdorff loss with the spacing that its own distance transform takes, but its loss does not pass on."""
    module = sys.modules["monai.losses.hausdorff_loss"]
    original = module.distance_transform_edt
    try:
        if spacing is not None:
            module.distance_transform_edt = functools.partial(original, sampling=list(spacing))
        yield
    finally:
        module.distance_transform_edt = original


def scipy_map(mask, kind, spacing):
    """As SciPy's users write it; inside with spacing: LIVIAETS/boundary-loss#45."""
    if not mask.any() or mask.all():
        return np.zeros(mask.shape)
    outside = distance_transform_edt(~mask, sampling=spacing)
    inside = distance_transform_edt(mask, sampling=spacing)
    if kind != "signed":
        return outside + inside
    if spacing is None:
        return outside * ~mask - (inside - 1) * mask
    eroded = binary_erosion(mask)
    depth = distance_transform_edt(eroded, sampling=spacing) if eroded.any() else 0.0 * mask
    return outside * ~mask - depth * mask


def scipy_maps(case, kind, spacing):
    masks = (case.p if kind == "prediction" else case.g) > 0.5
    return torch.tensor(np.stack([[scipy_map(m, kind, spacing) for m in sample] for sample in masks]))


def tools(loss, case, spacing):
    """(tool, function of the logits): public implementations of this loss, the most literal first."""
    name, kw = loss
    g, labels = torch.tensor(case.g), torch.tensor(case.labels)
    one, softmax = case.c == 1, case.activation == "softmax"
    act = {"softmax": True} if softmax else {"sigmoid": True}
    activate = (lambda z: z.softmax(1)) if softmax else torch.sigmoid
    background, batch = kw.get("background", False), kw.get("batch", False)
    included = one or background
    weights = kw.get("class_weights")
    s_n, s_d = kw.get("smooth_nr", 1e-5), kw.get("smooth_dr", 1e-5)
    pooled = batch or case.n == 1  # smp always sums over the batch
    mode = "binary" if one else "multiclass" if softmax else "multilabel"
    smp_g = g if not softmax else labels
    smp_kw = {"mode": mode, "smooth": 1e-5, "eps": 1e-30} | ({} if included else {"classes": list(range(1, case.c))})
    square = kw.get("beta", {"asymmetric": 1.5}.get(name, 1)) ** 2
    fp_weight = {"asymmetric": 1 / (1 + square), "effectiveness": 1 / (1 + square)}.get(name, kw.get("fp_weight", 0.3))
    fn_weight = {"asymmetric": square / (1 + square), "effectiveness": square / (1 + square)}.get(
        name, kw.get("fn_weight", 0.7)
    )
    a, k = kw.get("label_smoothing", 0.0), kw.get("k", 10)
    gamma, alpha = kw.get("gamma", 2.0), kw.get("alpha")
    dice_weight, ce_weight, focal_weight = (kw.get(f"{part}_weight", 1.0) for part in ("dice", "ce", "focal"))

    def two(z):
        """One class as the second of two under a softmax, which is the same: for tools without a sigmoid."""
        return (torch.cat([0 * z, z], 1), labels[:, None]) if one else (z, labels[:, None])

    def two_sums(z, target):  # the softmax form of every class's sigmoid does not exist for several
        assert softmax or one
        return z, target

    def ce(z):
        if softmax:
            return torch.nn.CrossEntropyLoss(label_smoothing=a)(z, labels)
        return torch.nn.BCEWithLogitsLoss()(z, (1 - a) * g + a / 2)

    def nnunet_cross_entropy(z):
        z, target = two_sums(*two(z))
        return nnunet_ce.RobustCrossEntropyLoss(label_smoothing=a)(z, target)

    def weighted_ce(z):
        if softmax:
            return torch.nn.CrossEntropyLoss(weight=torch.tensor(weights), label_smoothing=a)(z, labels)
        return torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(float(kw.get("pos_weight", 3))))(z, g)

    def nnunet_weighted(z):
        z, target = two_sums(*two(z))
        return nnunet_ce.RobustCrossEntropyLoss(weight=torch.tensor(weights), label_smoothing=a)(z, target)

    def topk(z):
        z, target = two_sums(*two(z))
        return nnunet_ce.TopKLoss(k=k)(z, target)

    def torch_topk(z):
        each = F.binary_cross_entropy_with_logits(z, g, reduction="none").flatten()
        return each.topk(max(1, int(each.numel() * k / 100))).values.mean()

    def monai_focal(z):
        # Its mean runs over the classes as well.
        factor = case.c if softmax else 1
        return factor * monai_losses.FocalLoss(gamma=gamma, alpha=alpha, use_softmax=softmax)(z, g)

    def smp_focal(z):
        if softmax:
            return smp_functions.softmax_focal_loss_with_logits(z, labels, gamma=gamma)
        return smp.FocalLoss(mode, alpha=alpha, gamma=gamma)(z, g)

    dice_kw = {"include_background": included, "squared_pred": kw.get("squared", False), "batch": batch} | act
    dice_kw |= {"smooth_nr": s_n, "smooth_dr": s_d}

    def monai_dice(z, **more):
        return monai_losses.DiceLoss(**(dice_kw | {"weight": weights} | more))(z, g)

    def nnunet_soft_dice(z):
        return 1 + nnunet_dice.SoftDiceLoss(activate, batch, included, s_n, ddp=False)(z, g)

    def nnunet_memory_dice(z):
        return 1 + nnunet_dice.MemoryEfficientSoftDiceLoss(activate, batch, included, s_n, ddp=False)(z, g)

    nnunet_has_dice = s_n == s_d and not kw.get("squared") and not weights
    nnunet_kw = {"batch_dice": batch, "do_bg": background, "smooth": s_n, "ddp": False}

    def monai_tversky(z, reduction="mean"):
        return monai_losses.TverskyLoss(
            include_background=included, alpha=fp_weight, beta=fn_weight, batch=batch, reduction=reduction, **act
        )(z, g)

    def smp_tversky(z, gamma=1.0):
        return smp.TverskyLoss(alpha=fp_weight, beta=fn_weight, gamma=gamma, **smp_kw)(z, smp_g)

    def nnunet_dice_ce(z):
        if one:
            kinds = {"soft_dice_kwargs": nnunet_kw | {"do_bg": True}, "bce_kwargs": {}}
            return dice_weight + nnunet_compound.DC_and_BCE_loss(
                weight_ce=ce_weight, weight_dice=dice_weight, **kinds
            )(z, g)
        return dice_weight + nnunet_compound.DC_and_CE_loss(
            nnunet_kw, {"label_smoothing": a}, weight_ce=ce_weight, weight_dice=dice_weight
        )(z, labels[:, None])

    def monai_dice_ce(z):
        return monai_losses.DiceCELoss(
            label_smoothing=a, lambda_dice=dice_weight, lambda_ce=ce_weight, **dice_kw
        )(z, g)

    def nnunet_dice_topk(z):
        z, target = two(z)
        return dice_weight + nnunet_compound.DC_and_topk_loss(
            nnunet_kw, {"k": k}, weight_ce=ce_weight, weight_dice=dice_weight
        )(z, target)

    def monai_dice_focal(z):
        return monai_losses.DiceFocalLoss(
            gamma=gamma, alpha=alpha, lambda_dice=dice_weight, lambda_focal=focal_weight, **dice_kw
        )(z, g)

    def distance_kw():
        return {"include_background": included} | act

    def monai_hausdorff(kind):
        def run(z):
            with monai_spacing(spacing):
                return kind(alpha=2.0, **distance_kw())(z, g)

        return run

    def scipy_hausdorff(z):
        squares = scipy_maps(case, "target", spacing) ** 2
        if not kw.get("one_sided"):
            squares = squares + scipy_maps(case, "prediction", spacing) ** 2
        return ((activate(z) - g) ** 2 * squares)[:, 0 if included else 1 :].mean()

    def scipy_boundary(z):
        return (activate(z) * scipy_maps(case, "signed", spacing))[:, 0 if included else 1 :].mean()

    pair = softmax or one
    monai_composed = "MONAI, composed"
    rows = {
        "ce": lambda: [("PyTorch", ce)] + ([("nnU-Net", nnunet_cross_entropy)] if softmax or (one and a == 0) else []),
        "weighted_ce": lambda: [("PyTorch", weighted_ce)] + ([("nnU-Net", nnunet_weighted)] if softmax else []),
        "topk": lambda: ([("nnU-Net", topk)] if pair else []) + ([] if softmax else [("PyTorch, composed", torch_topk)]),
        "focal": lambda: [("MONAI", monai_focal)] + ([("smp", smp_focal)] if not softmax or alpha is None else []),
        "dice": lambda: [("MONAI", monai_dice)]
        + ([("nnU-Net", nnunet_soft_dice), ("nnU-Net, memory efficient", nnunet_memory_dice)] if nnunet_has_dice else [])
        + ([("smp", lambda z: smp.DiceLoss(**(smp_kw | {"smooth": 0.5 * s_n}))(z, smp_g))] if pooled and nnunet_has_dice else []),
        "generalised_dice": lambda: [
            ("MONAI", lambda z: monai_losses.GeneralizedDiceLoss(include_background=included, **act)(z, g))
        ],
        "iou": lambda: [("MONAI, smoothing 2e-5", lambda z: monai_dice(z, jaccard=True, smooth_nr=2e-5, smooth_dr=2e-5))]
        + ([("smp", lambda z: smp.JaccardLoss(**smp_kw)(z, smp_g))] if pooled else []),
        "tversky": lambda: [("MONAI", monai_tversky)] + ([("smp", smp_tversky)] if pooled else []),
        "asymmetric": lambda: [("MONAI, TverskyLoss", monai_tversky)] + ([("smp", smp_tversky)] if pooled else []),
        "effectiveness": lambda: [("MONAI, TverskyLoss", monai_tversky)] + ([("smp", smp_tversky)] if pooled else []),
        "boundary": lambda: (
            [("MONAI", lambda z: monai_losses.BoundaryLoss(**distance_kw())(z, g))] if spacing is None else []
        )
        + [("SciPy", scipy_boundary)],
        "hausdorff": lambda: ([] if kw.get("one_sided") else [("MONAI", monai_hausdorff(monai_losses.HausdorffDTLoss))])
        + [("SciPy", scipy_hausdorff)],
        "log_hausdorff": lambda: (
            [] if kw.get("one_sided") else [("MONAI", monai_hausdorff(monai_losses.LogHausdorffDTLoss))]
        )
        + [("SciPy", lambda z: torch.log1p(scipy_hausdorff(z)))],
        "dice_ce": lambda: (
            [("MONAI", monai_dice_ce)]
            if softmax or (one and a == 0)
            else [(monai_composed, lambda z: dice_weight * monai_dice(z) + ce_weight * ce(z))]
        ),
        "dice_topk": lambda: (
            [("nnU-Net", nnunet_dice_topk)]
            if pair
            else [(monai_composed, lambda z: dice_weight * monai_dice(z) + ce_weight * torch_topk(z))]
        ),
        "dice_focal": lambda: (
            [("MONAI", monai_dice_focal)]
            if one
            else [(monai_composed, lambda z: dice_weight * monai_dice(z) + focal_weight * monai_focal(z))]
        ),
        "tversky_focal": lambda: [(monai_composed, lambda z: monai_tversky(z) + monai_focal(z))],
        "focal_tversky": lambda: [
            (monai_composed, lambda z: monai_tversky(z, "none").clamp(min=1e-7).pow(kw.get("exponent", 0.75)).mean())
        ]
        + ([("smp", lambda z: smp_tversky(z, kw.get("exponent", 0.75)))] if pooled and one else []),
        "focal_dice": lambda: [
            (
                monai_composed,
                lambda z: monai_dice(z, reduction="none").clamp(min=1e-7).pow(kw.get("exponent", 0.75)).mean(),
            )
        ],
    }[name]()
    if name == "dice_ce" and pair and nnunet_has_dice and not (one and a):
        rows.append(("nnU-Net", nnunet_dice_ce))
    return rows
