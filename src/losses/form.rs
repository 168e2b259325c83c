//! Which form of a loss is meant: what the classes are, and the switches that a person set.
//!
//! Numbers are parameters of a formula; a switch chooses another formula. Both are typed alike, `dice(batch=true)`.

use crate::fault::{Fault, Result};

/// What the classes of a prediction are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Classes {
    /// Foreground classes, each with a sigmoid of its own; one or several.
    #[default]
    Foreground,
    /// Background and foreground classes, in this number, each with a sigmoid of its own.
    Sigmoid(usize),
    /// Background and foreground classes, in this number, with probabilities that sum to 1.
    Softmax(usize),
}

impl Classes {
    /// How many, where the background is one of them.
    pub fn with_background(self) -> Option<usize> {
        match self {
            Self::Foreground => None,
            Self::Sigmoid(n) | Self::Softmax(n) => Some(n),
        }
    }
}

/// A switch of a loss: what it chooses is in [`Form`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// What people type.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

const fn switch(name: &'static str, meaning: &'static str) -> Switch {
    Switch { name, meaning }
}

/// Sums run over all samples of the batch.
pub const BATCH: Switch = switch("batch", "true: sums run over all samples of a batch, not over each");
/// Squares in the denominator.
pub const SQUARED: Switch = switch("squared", "true: squares in the denominator, as in V-Net");
/// Whether the background is one of the classes of a region term.
pub const BACKGROUND: Switch = switch("background", "true: where the background is a class, region terms count it too");
/// Distances in mm.
pub const SPACING: Switch = switch("spacing", "true: distances in mm by the spacing, not in voxels");
/// Distances to the target only.
pub const ONE_SIDED: Switch = switch("one_sided", "true: distances to the target only");
/// A weight for each class.
pub const CLASS_WEIGHTS: Switch = switch("class_weights", "[w, w, ...]: weight of each class that counts");
/// Share of the target that is spread over all classes.
pub const LABEL_SMOOTHING: Switch = switch("label_smoothing", "share of the target spread over all classes, 0 to 1");
/// Weight of the foreground.
pub const ALPHA: Switch = switch("alpha", "weight of the foreground, 0 to 1; the background has the rest");

/// The switches of a loss, and for which classes it is meant.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "every one is a switch that a person types")]
pub struct Form {
    /// What the classes are.
    pub classes: Classes,
    /// See [`BATCH`].
    pub batch: bool,
    /// See [`SQUARED`].
    pub squared: bool,
    /// See [`BACKGROUND`].
    pub background: bool,
    /// See [`SPACING`].
    pub spacing: bool,
    /// See [`ONE_SIDED`].
    pub one_sided: bool,
    /// See [`LABEL_SMOOTHING`]: the parameter is part of the formula.
    pub label_smoothing: bool,
    /// See [`ALPHA`]: the parameter is part of the formula.
    pub alpha: bool,
    /// See [`CLASS_WEIGHTS`]; empty without.
    pub class_weights: Vec<f64>,
}

impl Form {
    /// Sets the switch `name`; `false` if what was typed is also the value of a parameter of the formula.
    ///
    /// # Errors
    /// If the value is not one of the switch.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool> {
        if name == CLASS_WEIGHTS.name {
            self.class_weights = weights(value)?;
            return Ok(true);
        }
        let slot = match name {
            "batch" => &mut self.batch,
            "squared" => &mut self.squared,
            "background" => &mut self.background,
            "spacing" => &mut self.spacing,
            "one_sided" => &mut self.one_sided,
            "label_smoothing" => {
                self.label_smoothing = true;
                return Ok(false);
            }
            _ => {
                self.alpha = true;
                return Ok(false);
            }
        };
        *slot = match value {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => {
                return Err(Fault::new("not the value of a switch")
                    .field(name)
                    .expected("true or false")
                    .found(format!("`{value}`"))
                    .hint(format!("write `{name}=true`, or leave it out")));
            }
        };
        Ok(true)
    }

    /// Checks that there are as many weights as classes that count in the region terms, or as classes.
    ///
    /// # Errors
    /// If there are not, and the number of classes is known.
    pub fn check_weights(&self) -> Result<()> {
        let (Some(classes), given) = (self.classes.with_background(), self.class_weights.len()) else { return Ok(()) };
        let counted = if self.background { classes } else { classes - 1 };
        if given == 0 || given == classes || given == counted {
            return Ok(());
        }
        Err(Fault::new("wrong number of class weights")
            .field(CLASS_WEIGHTS.name)
            .expected(format!("{classes}, one for each class and the background, or {counted} for those that count"))
            .found(given)
            .hint("write as many weights as there are classes"))
    }

    /// The number of the class to which the first weight belongs.
    pub fn first_weighted(&self) -> usize {
        self.classes.with_background().map_or(0, |classes| classes.saturating_sub(self.class_weights.len()))
    }
}

fn weights(value: &str) -> Result<Vec<f64>> {
    let wrong = || {
        Fault::new("not a list of class weights")
            .field(CLASS_WEIGHTS.name)
            .expected("numbers of at least 0, such as `[0.5, 1, 2]`")
            .found(format!("`{value}`"))
            .hint("put the weights into square brackets, with commas between them")
    };
    let inner = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|w| w.is_finite() && *w >= 0.0).ok_or_else(wrong);
    inner.split(',').map(number).collect()
}
