"""Exported losses inside MONAI and nnU-Net: arguments are the files of `dice_ce` for both, and of `tversky` for MONAI."""

import importlib.util
import runpy
import sys
import types

import torch

monai_dice_ce, nnunet_dice_ce, monai_tversky = (runpy.run_path(file) for file in sys.argv[1:4])
logits = torch.randn(2, 3, 6, 7, 8, generator=torch.Generator().manual_seed(1))
labels = torch.randint(0, 3, (2, 1, 6, 7, 8), generator=torch.Generator().manual_seed(2))

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
