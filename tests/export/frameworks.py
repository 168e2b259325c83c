"""What exported losses promise, and their place in MONAI and nnU-Net. Arguments are files for a softmax, `dice_ce` for MONAI
and nnU-Net and `tversky` for MONAI, and `dice_ce` for a sigmoid as a module of PyTorch."""

import importlib.util
import runpy
import sys
import types

import torch

monai_dice_ce, nnunet_dice_ce, monai_tversky, plain = (runpy.run_path(file) for file in sys.argv[1:5])
logits = torch.randn(2, 3, 6, 7, 8, generator=torch.Generator().manual_seed(1))
labels = torch.randint(0, 3, (2, 1, 6, 7, 8), generator=torch.Generator().manual_seed(2))



def refused(call, part):
    try:
        call()
    except ValueError as error:
        assert part in str(error), error
    else:
        raise AssertionError(f"not refused: {part}")


close = torch.testing.assert_close
softmax, sigmoid = monai_dice_ce["DiceCe"], plain["DiceCe"]
one_hot = torch.stack([(labels[:, 0] == label).float() for label in range(3)], 1)
expected = softmax()(logits, labels)
close(softmax()(logits, one_hot), expected)
close(softmax()(logits, labels[:, 0]), expected)
close(softmax()(logits, labels.float()), expected)
close(sigmoid()(logits[:, 1:], labels), sigmoid()(logits[:, 1:], one_hot[:, 1:]))
close(sigmoid()(logits[:, 1:2], (labels == 1).long()), sigmoid()(logits[:, 1:2], one_hot[:, 1:2]))
close(sigmoid(scale=3.0)(logits[:, 1:], labels), 3.0 * sigmoid()(logits[:, 1:], labels))
# What does not count has no part in it, whatever stands there.
mask = torch.zeros(2, 1, 6, 7, 8, dtype=torch.bool)
mask[:, :, :, :5] = True
spoilt = torch.where(mask, logits, torch.full_like(logits, float("inf"))).requires_grad_()
masked = softmax()(spoilt, labels, mask=mask)
close(masked, softmax()(logits[:, :, :, :5], labels[:, :, :, :5]))
masked.backward()
assert spoilt.grad.isfinite().all() and not spoilt.grad[~mask.expand_as(spoilt)].any()
marked = torch.cat([one_hot[:, 1:], (~mask).float()], 1)
close(sigmoid(ignore_index=9)(logits[:, 1:], marked), sigmoid()(logits[:, 1:], labels, mask=mask[:, 0]))
# One slice is a volume of one slice; 16 bits are nearly 32.
close(softmax()(logits[:, :, 0], labels[:, :, 0]), softmax()(logits[:, :, :1], labels[:, :, :1]))
close(softmax()(logits.half(), labels), expected, rtol=1e-3, atol=1e-3)
# Confident logits keep their gradient under a softmax.
sure = (40.0 * logits).double().requires_grad_()
softmax()(sure, labels).backward()
reference = sure.detach().clone().requires_grad_()
rest = [torch.cat([reference[:, :k], reference[:, k + 1 :]], 1).logsumexp(1) for k in range(3)]
close(monai_dice_ce["_others"](reference), torch.stack(rest, 1))
assert sure.grad.isfinite().all() and sure.grad.abs().max() > 0.0
refused(lambda: softmax()(logits, labels + 1), "labels 1 to 3")
refused(lambda: sigmoid()(logits[:, :1], 255 * (labels == 1)), "labels 0 to 255")
refused(lambda: sigmoid()(logits[:, :1], 2.0 * one_hot[:, :1]), "instead of 0 to 1")
refused(lambda: softmax(ignore_index=2)(logits, one_hot), "needs a label map")
refused(lambda: softmax()(logits, labels[:1]), "do not fit")
refused(lambda: softmax()(logits, labels, mask=mask[..., 1:]), "do not fit")

if importlib.util.find_spec("monai"):
    from monai.losses import DiceCELoss, TverskyLoss

    options = {"to_onehot_y": True, "softmax": True, "include_background": False}
    theirs = DiceCELoss(**options, smooth_nr=1e-5, smooth_dr=1e-5)(logits, labels)
    torch.testing.assert_close(monai_dice_ce["DiceCe"]()(logits, labels), theirs, rtol=1e-5, atol=1e-6)
    theirs = TverskyLoss(**options, alpha=0.3, beta=0.7, smooth_nr=1e-5, smooth_dr=1e-5)(logits, labels)
    torch.testing.assert_close(monai_tversky["Tversky"](fp_weight=0.3)(logits, labels), theirs, rtol=1e-5, atol=1e-6)
    rows = monai_dice_ce["DiceCe"](reduction="none")(logits, labels)
    assert rows.shape == (2, 3)
    assert monai_dice_ce["DiceCe"](reduction="sum")(logits, labels).isclose(rows.sum())
    print("MONAI agrees")
else:
    print("skipped: no MONAI")

if importlib.util.find_spec("nnunetv2"):
    trainer = object.__new__(nnunet_dice_ce["nnUNetTrainerDiceCe"])
    trainer.label_manager = types.SimpleNamespace(has_regions=False, ignore_label=2)
    trainer.enable_deep_supervision, trainer.is_ddp = True, False
    trainer._get_deep_supervision_scales = lambda: [[1, 1, 1], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]
    loss = trainer._build_loss()
    outputs = [logits, logits[:, :, ::2, ::2, ::2], logits[:, :, ::4, ::4, ::4]]
    targets = [labels, labels[:, :, ::2, ::2, ::2], labels[:, :, ::4, ::4, ::4]]
    found = loss([output.requires_grad_() for output in outputs], targets)
    alone = nnunet_dice_ce["DiceCe"](ignore_index=2)
    expected = (alone(outputs[0], targets[0]) + 0.5 * alone(outputs[1], targets[1])) / 1.5
    torch.testing.assert_close(found, expected)
    # Voxels of the ignored label have no gradient.
    slopes = torch.autograd.grad(alone(outputs[0], labels), outputs[0])[0]
    assert slopes[(labels == 2).expand_as(slopes)].abs().max() == 0.0
    assert slopes[(labels != 2).expand_as(slopes)].abs().max() > 0.0
    trainer.label_manager.has_regions = True
    try:
        trainer._build_loss()
    except RuntimeError as error:
        assert "--activation sigmoid" in str(error)
    else:
        raise AssertionError("regions need a sigmoid")
    print("nnU-Net trains with it")
else:
    print("skipped: no nnU-Net")
