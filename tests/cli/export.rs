//! `lossgen export`.

use predicates::prelude::*;

use super::lossgen;

#[test]
fn a_loss_is_written_in_every_format() {
    let home = tempfile::tempdir().unwrap();
    let formats = [
        ("pytorch", "class FocalTversky(nn.Module):"),
        ("monai", "class FocalTversky(_Loss):"),
        ("nnunet", "class nnUNetTrainerFocalTversky(nnUNetTrainer):"),
        ("burn", "pub fn focal_tversky(logits: Tensor<5>"),
        ("latex", r"\frac{w_{\mathrm{FP}}"),
        ("text", "(^ (ratio"),
    ];
    for (format, part) in formats {
        let line = ["export", "focal_tversky(exponent=0.5)", "--to", format];
        lossgen(home.path()).args(line).assert().success().stdout(predicate::str::contains(part));
    }
    let line = ["export", "(+ dice (* t boundary))", "--to", "pytorch", "--name", "mine", "--out", "mine.py"];
    lossgen(home.path()).args(line).assert().success();
    let text = std::fs::read_to_string(home.path().join("mine.py")).unwrap();
    assert!(text.contains("class Mine(nn.Module)") && text.contains("loss.progress ="), "{text}");
    lossgen(home.path()).args(line).assert().code(2).stderr(predicate::str::contains("nothing is overwritten"));
    let json = lossgen(home.path()).args(["export", "ce", "--to", "latex", "--json"]).assert().success();
    let json: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    assert_eq!(json["file"], "ce.tex");
}

#[test]
fn what_cannot_be_exported_is_said() {
    let home = tempfile::tempdir().unwrap();
    let complain = |line: &[&str], part: &str| {
        lossgen(home.path()).arg("export").args(line).assert().code(2).stderr(predicate::str::contains(part));
    };
    complain(&["dice", "--to", "pytorhc"], "did you mean `pytorch`?");
    complain(&["dise", "--to", "text"], "did you mean `dice`?");
    for name in ["My Loss", "none", "fn"] {
        complain(&["dice", "--to", "burn", "--name", name], "small letters");
    }
    complain(&["(+ (mean fp) (* (^ 10 400) (mean fn)))", "--to", "pytorch"], "not finite");
    complain(&["(+ t 2)", "--to", "text"], "no gradient");
    complain(&["(+ dice (mean (* signed_distance_mm p)))", "--to", "nnunet"], "without `_mm`");
    complain(&["dice", "--to", "monai", "--scale", "0"], "above 0");
    complain(&["dice", "--to", "monai", "--activation", "softmax", "--classes", "1"], "2 or more");
}
