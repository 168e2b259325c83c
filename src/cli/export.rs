//! `lossgen export`: a loss to take home.

use clap::Args;

use super::activation::ActivationOption;
use super::term::Term;
use super::{Common, reference};
use crate::export::{Export, Row, TARGETS, Target, is_name};
use crate::fault::{Fault, Result, did_you_mean};
use crate::formula::eval::Activation;
use crate::formula::plan::Plan;
use crate::gates::gradient_factor;
use crate::losses::catalog;
use crate::losses::form::{Classes, Form};
use crate::run::replace;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A name, a name with parameters, a formula, RUN/best, or RUN#ID
    loss: String,
    /// pytorch, monai, nnunet, burn, latex or text
    #[arg(long, value_name = "FORMAT")]
    to: String,
    /// Name of the class or function, in small letters [default: that of the loss, or `discovered_loss`]
    #[arg(long)]
    name: Option<String>,
    /// How logits become probabilities; with a softmax the first channel is the background [default: softmax for nnunet,
    /// sigmoid for the others]
    #[arg(long, value_enum)]
    activation: Option<ActivationOption>,
    /// Classes of the batch on which the file tests itself; with a softmax the background is one [default: 3, or 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    classes: Option<u32>,
    /// By what the loss is multiplied [default: 1; for a loss of a run what gives it the gradient of Dice + CE, as it had
    /// in its trainings]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    scale: Option<f64>,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let target = target(&arguments.to)?;
    let usual = if target.target == Target::Nnunet { Activation::Softmax } else { Activation::Sigmoid };
    let activation = arguments.activation.map_or(usual, Activation::from);
    let softmax = activation == Activation::Softmax;
    let classes = arguments.classes.map_or(if softmax { 3 } else { 1 }, |classes| classes as usize);
    if softmax && classes < 2 {
        return Err(Fault::new("a softmax needs at least two classes")
            .field("--classes")
            .expected("2 or more, the background among them")
            .found(classes));
    }
    let form =
        Form { classes: if softmax { Classes::Softmax(classes) } else { Classes::Foreground }, ..Form::default() };
    let found = reference::find_in(&arguments.loss, form)?;
    let factor = || if found.run.is_some() { gradient_factor(&Plan::new(&found.loss.formula)) } else { 1.0 };
    let scale = arguments.scale.unwrap_or_else(factor);
    if !(scale.is_finite() && scale > 0.0) {
        return Err(Fault::new("not a scale").field("--scale").expected("a number above 0").found(scale));
    }
    let export = Export {
        title: &found.loss.name,
        name: &name(arguments)?,
        formula: &found.loss.formula,
        activation,
        classes,
        scale,
    };
    check(&export, target, &arguments.loss)?;
    let text = export.write(target);
    match &common.out {
        None if common.json => {
            let file = format!("{}.{}", export.name, target.extension);
            term.result(&serde_json::json!({"file": file, "text": text}).to_string());
        }
        None => term.result(text.trim_end()),
        Some(path) if path.exists() => {
            return Err(Fault::new("there is something already")
                .file(path)
                .expected("the path of a file that is not there")
                .found(if path.is_dir() { "a folder" } else { "a file" })
                .hint("choose another place with `--out`: nothing is overwritten"));
        }
        Some(path) => {
            replace(path, text.as_bytes())?;
            term.say(&format!("written: {}", path.display()));
        }
    }
    Ok(())
}

/// Whether somebody could train with the file.
fn check(export: &Export<'_>, target: &Row, typed: &str) -> Result<()> {
    if let Some(trouble) = export.trouble() {
        return Err(Fault::new("nobody can train with this loss")
            .field(typed)
            .expected("a value and a gradient that are numbers, and not all 0")
            .found(trouble)
            .hint("`lossgen loss show` says what the gates of a search think of it"));
    }
    let in_mm = export.formula.genes().iter().map(|gene| gene.word.word().name).find(|name| name.ends_with("_mm"));
    match in_mm {
        Some(word) if target.target == Target::Nnunet => {
            Err(Fault::new("nnU-Net tells a loss nothing of distances in mm")
                .field(typed)
                .expected("distances in voxels")
                .found(format!("`{word}`"))
                .hint("use the word without `_mm`; in losses of the catalog `spacing=false`"))
        }
        _ => Ok(()),
    }
}

fn target(typed: &str) -> Result<&'static Row> {
    let names = || TARGETS.iter().map(|row| row.name);
    TARGETS.iter().find(|row| row.name == typed).ok_or_else(|| {
        let all = names().collect::<Vec<_>>().join(", ");
        let fault = Fault::new("unknown format").field("--to").expected(all.clone()).found(format!("`{typed}`"));
        match did_you_mean(typed, names()) {
            Some(close) => fault.hint(format!("did you mean `{close}`?")),
            None => fault.hint(format!("a loss can be taken to {all}")),
        }
    })
}

fn name(arguments: &Arguments) -> Result<String> {
    let Some(name) = &arguments.name else {
        let known = catalog::find(arguments.loss.split('(').next().unwrap_or_default().trim());
        return Ok(known.map_or("discovered_loss", |entry| entry.name).to_string());
    };
    if is_name(name) {
        return Ok(name.clone());
    }
    Err(Fault::new("not a name for a class and a function")
        .field("--name")
        .expected("small letters, digits and `_`, a letter first, and no keyword")
        .found(format!("`{name}`"))
        .hint("for example `lumbar_loss`, which becomes the class `LumbarLoss`"))
}
