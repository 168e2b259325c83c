//! A loss to take home: as a module of PyTorch, MONAI or nnU-Net, as a function of Burn, as LaTeX or text.
//!
//! Programs are written step by step from the [plan](crate::formula::plan) of the formula, with one table of words for all
//! languages (`dialect`) and a small runtime that every file carries along, so that it needs nothing of this crate. Python
//! files end with a test of their own: value and gradient on a small batch, computed by the `f64` evaluator.

mod burn;
mod dialect;
mod python;
mod sample;

use sample::Sample;

use crate::formula::Formula;
use crate::formula::eval::Activation;

/// Where a loss can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// One file with an `nn.Module`, which needs PyTorch only.
    Pytorch,
    /// The same as a `_Loss` with the arguments that MONAI's losses have.
    Monai,
    /// The same with a trainer of nnU-Net v2, deep supervision included.
    Nnunet,
    /// A function of Burn.
    Burn,
    /// LaTeX, mathematics mode.
    Latex,
    /// The s-expression, which `lossgen` reads, and the formula as people write it.
    Text,
}

/// One row of the table of targets.
#[derive(Debug)]
pub struct Row {
    /// What people type.
    pub name: &'static str,
    /// Which it is.
    pub target: Target,
    /// How its files end.
    pub extension: &'static str,
    write: fn(&Export<'_>) -> String,
}

/// Every target.
#[rustfmt::skip]
pub static TARGETS: [Row; 6] = [
    Row { name: "pytorch", target: Target::Pytorch, extension: "py",  write: python::pytorch },
    Row { name: "monai",   target: Target::Monai,   extension: "py",  write: python::monai },
    Row { name: "nnunet",  target: Target::Nnunet,  extension: "py",  write: python::nnunet },
    Row { name: "burn",    target: Target::Burn,    extension: "rs",  write: burn::function },
    Row { name: "latex",   target: Target::Latex,   extension: "tex", write: |export| format!("{}\n", export.formula.latex()) },
    Row { name: "text",    target: Target::Text,    extension: "txt", write: |export| format!("{}\n{}\n", export.formula, export.formula.infix()) },
];

/// A loss that is to be written down.
#[derive(Debug, Clone)]
pub struct Export<'a> {
    /// What it is called, for comments: as typed.
    pub title: &'a str,
    /// What its class or function is called, in words joined by `_`.
    pub name: &'a str,
    /// What it computes.
    pub formula: &'a Formula,
    /// How logits become probabilities; with a softmax class 0 is the background.
    pub activation: Activation,
    /// Classes of the batch on which the file tests itself.
    pub classes: usize,
    /// By what the loss is multiplied unless the person says otherwise.
    pub scale: f64,
}

impl Export<'_> {
    /// Why nobody could train with it, if the batch of the self-test shows that.
    pub fn trouble(&self) -> Option<&'static str> {
        let sample = Sample::new(self);
        if !sample.value.is_finite() || sample.gradient.iter().any(|slope| !slope.is_finite()) {
            return Some("a value or a gradient that is not finite");
        }
        sample.gradient.iter().all(|slope| *slope == 0.0).then_some("no gradient")
    }

    /// The file.
    pub fn write(&self, row: &Row) -> String {
        (row.write)(self)
    }

    /// The name as that of a class: `dice_ce` becomes `DiceCe`.
    fn class(&self) -> String {
        let capital = |word: &str| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
        };
        self.name.split('_').map(capital).collect()
    }

    /// Whether it listens to the training progress.
    fn listens(&self) -> bool {
        self.formula.genes().iter().any(|gene| gene.word.word().name == "t")
    }
}

/// What languages keep for themselves; with a capital letter `none` would be, too.
const KEPT: &str = "abstract as async await become box break const continue crate do dyn else enum extern false final fn \
    for gen if impl in let loop macro match mod move mut none override priv pub ref return self static struct super trait \
    true try type typeof unsafe unsized use virtual where while yield";

/// Whether a word can be the name of an exported loss, in every language: small letters, digits and `_`, a letter first.
pub fn is_name(name: &str) -> bool {
    KEPT.split_whitespace().all(|word| word != name)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
