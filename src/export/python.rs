//! Losses as modules of PyTorch, alone or for MONAI and nnU-Net.

use super::Export;
use super::dialect::{Dialect, Program};
use super::sample::{PROGRESS, SAMPLES, SHAPE, SPACING, Sample};
use crate::formula::eval::Activation;
use crate::formula::plan::Plan;

const RUNTIME: &str = include_str!("runtime/torch.py");
const MODULE: &str = include_str!("runtime/module.py");
const SELF_TEST: &str = include_str!("runtime/self_test.py");

/// Longest line of a comment.
const WIDTH: usize = 110;

/// What differs between the files.
struct Frame {
    /// What it needs, in a sentence.
    needs: &'static str,
    imports: &'static str,
    base: &'static str,
    /// Further arguments of the constructor, and what is done with them.
    arguments: &'static str,
    constructor: &'static str,
    forward: &'static str,
}

const PYTORCH: Frame = Frame {
    needs: "Needs PyTorch only.",
    imports: "",
    base: "nn.Module",
    arguments: "ignore_index=None",
    constructor: "        super().__init__()\n",
    forward: r#"    def forward(self, logits, target, mask=None, spacing=None):
        """The loss of logits [N, C, ...] and a target in their shape, or a label map [N, 1, ...] in which 0 is the background.

        mask [N, 1, ...]: voxels that count. spacing: for each sample the distance of voxels along every axis in mm, for
        losses that measure distances in mm; 1 mm without it.
        """
        return self._evaluate(logits, target, mask, spacing).mean()
"#,
};

const MONAI: Frame = Frame {
    needs: "Needs PyTorch; takes the place of a loss of MONAI.",
    imports: "from torch.nn.modules.loss import _Loss\n",
    base: "_Loss",
    arguments: "ignore_index=None, reduction=\"mean\"",
    constructor: "        super().__init__(reduction=str(getattr(reduction, \"value\", reduction)))\n",
    forward: r#"    def forward(self, input, target, mask=None, spacing=None):
        """The loss of logits [B, N, ...] and a target in their shape, or a label map [B, 1, ...] in which 0 is the background.

        mask [B, 1, ...]: voxels that count. spacing: for each sample the distance of voxels along every axis in mm.
        With `reduction="none"` one value for every sample and class, [B, N].
        """
        values = self._evaluate(input, target, mask, spacing)
        if self.reduction == "none":
            return values
        return values.sum() if self.reduction == "sum" else values.mean()
"#,
};

/// A file with an `nn.Module`.
pub(super) fn pytorch(export: &Export<'_>) -> String {
    file(export, &PYTORCH, "")
}

/// A file with a `_Loss`.
pub(super) fn monai(export: &Export<'_>) -> String {
    file(export, &MONAI, "")
}

/// A file with a trainer: to be put beside those of nnU-Net (`nnunetv2/training/nnUNetTrainer`), from where `-tr` finds it.
pub(super) fn nnunet(export: &Export<'_>) -> String {
    let frame = Frame {
        needs: "Needs PyTorch and nnU-Net v2: copy it to nnunetv2/training/nnUNetTrainer, then `nnUNetv2_train ... -tr` with the trainer below.",
        imports: "\ntry:\n    from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper\n    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer\nexcept ModuleNotFoundError:  # the loss and its test work without\n    nnUNetTrainer = None\n",
        ..PYTORCH
    };
    let class = export.class();
    let (regions, wanted) = match export.activation {
        Activation::Softmax => ("", "labels; export it with `--activation sigmoid` for regions"),
        Activation::Sigmoid => ("not ", "regions; export it with `--activation softmax` for labels"),
    };
    let trainer = format!(
        r#"

if nnUNetTrainer is not None:

    class nnUNetTrainer{class}(nnUNetTrainer):
        """nnU-Net's trainer with this loss at every resolution, weighted as nnU-Net does: 1, 1/2, 1/4 ..., the last with 0."""

        def _build_loss(self):
            if {regions}self.label_manager.has_regions:
                raise RuntimeError("{class} was exported for {wanted}")
            loss = self.exported_loss = {class}(ignore_index=self.label_manager.ignore_label)
            if self.enable_deep_supervision:
                weights = [0.5**level for level in range(len(self._get_deep_supervision_scales()))]
                # With several GPUs every parameter must have a gradient, unless the network is compiled.
                weights[-1] = 1e-6 if self.is_ddp and not self._do_i_compile() else 0.0
                loss = DeepSupervisionWrapper(loss, [weight / sum(weights) for weight in weights])
            return loss

        def on_train_epoch_start(self):
            super().on_train_epoch_start()
            self.exported_loss.progress = self.current_epoch / max(self.num_epochs - 1, 1)
"#
    );
    file(export, &frame, &trainer)
}

fn file(export: &Export<'_>, frame: &Frame, trainer: &str) -> String {
    let class = export.class();
    let Program { statements, value } = Dialect::Python.program(&Plan::new(export.formula));
    let parameters = export.formula.parameters();
    let mut arguments: String = parameters.iter().map(|(name, value)| format!("{name}={value:?}, ")).collect();
    arguments += &format!("scale={:?}, {}", export.scale, frame.arguments);
    let set: String = parameters.iter().map(|(name, _)| format!("        self.{name} = float({name})\n")).collect();
    let body: String = statements.iter().map(|statement| format!("        {statement}\n")).collect();
    let softmax = export.activation == Activation::Softmax;
    let logits = if softmax {
        "softmax over the channels, of which the first is the background"
    } else {
        "a sigmoid for every channel"
    };
    let mut usage = format!("    loss = {class}()\n");
    if export.listens() {
        usage += "    loss.progress = step / (steps - 1)  # before every step: this loss changes in the course of a training\n";
    }
    if export.scale != 1.0 {
        usage +=
            "    # `scale` gives it the gradient of Dice + CE, as it had when it was found; 1 is the formula alone.\n";
    }
    let mut text = format!("\"\"\"{}\n\n", comment(&format!("{}: {}", export.title, export.formula.infix())));
    text += &format!("{}\n\n", comment(&format!("As a formula of lossgen: {}", export.formula)));
    text += &format!("Written by lossgen {}. {}\n\n", env!("CARGO_PKG_VERSION"), frame.needs);
    text += &format!(
        "{usage}    loss(logits, target).backward()\n\n`python FILE` compares it with lossgen's evaluator.\n\"\"\"\n\n"
    );
    text += "import math\n\nimport torch\nfrom torch import nn\nfrom torch.nn import functional\n";
    text += &format!("{}\n{RUNTIME}\n\n", frame.imports);
    text += &format!("class {class}({}):\n    \"\"\"Predictions are logits: {logits}.\"\"\"\n\n", frame.base);
    text += &format!("    SOFTMAX = {}\n\n", if softmax { "True" } else { "False" });
    text += &format!("    def __init__(self, {arguments}):\n{}{set}", frame.constructor);
    text +=
        "        self.scale = float(scale)\n        self.ignore_index = ignore_index\n        self._progress = 0.0\n\n";
    text += &format!("{}\n    def _formula(self, v):\n{body}        return {value}\n\n{MODULE}", frame.forward);
    text + trainer + &test(export) + &SELF_TEST.replace("{CLASS}", &class)
}

/// A text in lines of a width that people read; quotation marks and backslashes would end it, but no formula has them.
fn comment(text: &str) -> String {
    let text = text.replace(['"', '\\'], "'");
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= WIDTH {
            line.push_str(&format!(" {word}"));
        } else {
            lines.push(word.to_string());
        }
    }
    lines.join("\n")
}

/// The batch of the self-test.
fn test(export: &Export<'_>) -> String {
    let sample = Sample::new(export);
    let list = |values: &[f64]| values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ");
    let [depth, height, width] = SHAPE;
    let rows = [
        ("shape", format!("({SAMPLES}, {}, {depth}, {height}, {width})", sample.classes)),
        ("spacing", format!("{SPACING:?}")),
        ("progress", format!("{PROGRESS:?}")),
        ("logits", format!("[{}]", list(&sample.logits))),
        ("target", format!("[{}]", list(&sample.targets))),
        ("value", format!("{:?}", sample.value)),
        ("gradient", format!("[{}]", list(&sample.gradient))),
    ];
    let rows: String = rows.iter().map(|(name, value)| format!("    \"{name}\": {value},\n")).collect();
    format!("\n\nTEST = {{\n{rows}}}\n")
}
