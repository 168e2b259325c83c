//! What people type where a loss is wanted, when more than a formula is meant: a loss whose weights or parameters move
//! while the network trains.
//!
//! `rebalance(dice, boundary)`, `softadapt(dice, ce, variant=original)`, `cov(dice, hausdorff)`, `greedy(tversky)`. The
//! losses inside are whatever may stand alone. Here is what a strategy is; `training` carries it out.

mod typed;

use self::typed::{Typed, numbers, separated, setting};
use super::Loss;
use super::greedy::Greedy;
use super::learned::Learned;
use super::weighting::{Cov, Rebalance, RebalanceForm, SoftAdapt, Variant, Weighting};
use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::formula::word::WordId;

/// A loss, and how it moves.
#[derive(Debug, Clone, PartialEq)]
pub struct Strategy {
    /// As typed.
    pub name: String,
    /// The same with every loss as a formula: what [`Strategy::read`] makes the same strategy of, anywhere.
    pub text: String,
    /// What moves.
    pub kind: Kind,
}

/// What moves.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Nothing.
    Fixed(Formula),
    /// The weights of the terms.
    Weighted {
        /// At least two.
        terms: Vec<Formula>,
        /// Their weights.
        weighting: Weighting,
    },
    /// The parameters of the loss.
    Greedy {
        /// The loss with the parameters where they start.
        loss: Formula,
        /// The parameters.
        greedy: Greedy,
        /// What a trial step is judged by.
        score: Judgement,
        /// Whether it is judged on another batch than that of the step.
        held_out: bool,
    },
    /// Nothing but the training progress, to which a learned loss may listen; or its weights.
    Learned {
        /// The loss where it starts.
        loss: Learned,
        /// The task for which it goes on learning with every step.
        online: Option<Formula>,
    },
}

/// What a trial step is judged by; none of them depends on the parameters that move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Mean of (p - y)².
    SquaredError,
    /// 1 - soft Dice.
    Dice,
}

impl Judgement {
    /// What is minimised.
    pub fn formula(self) -> Formula {
        let text = match self {
            Self::SquaredError => "(mean (* abs_diff abs_diff))",
            Self::Dice => "(ratio (sum tp) (* 0.5 (sum abs_diff)))",
        };
        text.parse().expect("the text is a formula")
    }
}

impl Strategy {
    /// Numbers of a loss that move by greedy trials, judged on other patches than those of the step; `None` if it has none
    /// that could.
    pub fn adapting(loss: &Formula) -> Option<Self> {
        let (loss, greedy) = Greedy::of_numbers(loss)?;
        let text = format!("greedy({loss}, held_out=true)");
        let kind = Kind::Greedy { loss, greedy, score: Judgement::SquaredError, held_out: true };
        Some(Self { name: text.clone(), text, kind })
    }
}

impl From<Loss> for Strategy {
    fn from(loss: Loss) -> Self {
        Self { name: loss.name, text: loss.formula.to_string(), kind: Kind::Fixed(loss.formula) }
    }
}

/// A name that people type, and how it is read.
struct Entry {
    name: &'static str,
    example: &'static str,
    settings: &'static [&'static str],
    read: fn(&Typed<'_>, &[Loss]) -> Result<Kind>,
    /// Fewest losses inside.
    least: usize,
    /// Whether positions after the first are names of parameters.
    names_parameters: bool,
}

#[rustfmt::skip]
const ENTRIES: [Entry; 5] = [
    Entry { name: "rebalance", example: "rebalance(dice, boundary)",   settings: &["form", "start", "end", "floor"],        read: rebalance, least: 2, names_parameters: false },
    Entry { name: "softadapt", example: "softadapt(dice, ce)",         settings: &["variant", "beta", "every", "priors"],   read: softadapt, least: 2, names_parameters: false },
    Entry { name: "cov",       example: "cov(dice, hausdorff)",        settings: &["form", "decay"],                        read: cov,       least: 2, names_parameters: false },
    Entry { name: "greedy",    example: "greedy(tversky)",             settings: &["delta", "every", "score", "held_out"],  read: greedy,    least: 1, names_parameters: true },
    Entry { name: "learned",   example: "learned(RUN)",                settings: &["net", "online"],                        read: learned,   least: 0, names_parameters: false },
];

/// Whether strategies of that name are typed.
pub(super) fn is_name(name: &str) -> bool {
    ENTRIES.iter().any(|entry| entry.name == name)
}

impl Strategy {
    /// The strategy that a person typed; `find` knows the losses that may stand alone. `None` if no strategy has that name.
    ///
    /// # Errors
    /// If a loss is not one, a setting is not one of the strategy or out of its range, or there are too few losses.
    pub fn parse(typed: &str, find: &dyn Fn(&str) -> Result<Loss>) -> Result<Option<Self>> {
        let Some((name, rest)) = typed.trim().split_once('(') else { return Ok(None) };
        let Some(entry) = ENTRIES.iter().find(|entry| entry.name == name.trim()) else { return Ok(None) };
        let Some(inside) = rest.strip_suffix(')') else {
            return Err(Fault::new(format!("`{typed}` is never closed"))
                .field("loss")
                .expected("`)` at the end")
                .found(format!("`{typed}`"))
                .hint(format!("write `{}`", entry.example)));
        };
        let (settings, positions): (Vec<&str>, Vec<&str>) =
            separated(inside).into_iter().partition(|part| setting(part).is_some());
        let settings: Vec<(&str, &str)> = settings.into_iter().filter_map(setting).collect();
        let losses = if entry.names_parameters { positions.len().min(1) } else { positions.len() };
        let (losses, parameters) = positions.split_at(losses);
        let typed_parts = Typed { entry, settings, parameters, find };
        typed_parts.check()?;
        let losses: Vec<Loss> = losses.iter().map(|loss| find(loss)).collect::<Result<_>>()?;
        if losses.len() < entry.least {
            return Err(Fault::new(format!("`{}` needs {} loss(es)", entry.name, entry.least))
                .field("loss")
                .expected(format!("as in `{}`", entry.example))
                .found(format!("`{typed}`")));
        }
        let kind = (entry.read)(&typed_parts, &losses)?;
        if let Kind::Learned { loss, online } = kind {
            return Ok(Some(Self::learned(typed.trim(), loss, online)));
        }
        let formulas = losses.iter().map(|loss| loss.formula.to_string());
        let names = positions.iter().skip(losses.len()).map(ToString::to_string);
        let values = typed_parts.settings.iter().map(|(name, value)| format!("{name}={value}"));
        let parts: Vec<String> = formulas.chain(names).chain(values).collect();
        let text = format!("{}({})", entry.name, parts.join(", "));
        Ok(Some(Self { name: typed.trim().to_string(), text, kind }))
    }

    /// The strategy of which `text` was written, called `name`.
    ///
    /// # Errors
    /// If the text is not one.
    pub fn read(name: &str, text: &str) -> Result<Self> {
        let found = match Self::parse(text, &super::named)? {
            Some(strategy) => strategy,
            None => super::named(text)?.into(),
        };
        Ok(Self { name: name.to_string(), ..found })
    }

    /// A formula that does not move, called by its text.
    pub fn fixed(formula: Formula) -> Self {
        Self { name: formula.to_string(), text: formula.to_string(), kind: Kind::Fixed(formula) }
    }

    /// A learned loss, called `name`.
    fn learned(name: &str, loss: Learned, online: Option<Formula>) -> Self {
        let task = online.as_ref().map_or(String::new(), |task| format!(", online={task}"));
        let text = format!("learned(net={}{task})", loss.text());
        Self { name: name.to_string(), text, kind: Kind::Learned { loss, online } }
    }

    /// The place of `learned(PLACE, ...)` and the rest; `None` if this is nothing of the kind.
    pub fn learned_at(typed: &str) -> Option<(&str, Vec<&str>)> {
        let inside = typed.trim().strip_prefix("learned(")?.strip_suffix(')')?;
        let mut parts = separated(inside);
        let place = parts.iter().position(|part| setting(part).is_none())?;
        Some((parts.remove(place), parts))
    }

    /// The loss without its movement: the sum of the terms, or the loss where its parameters start; `None` if it is no
    /// formula.
    pub fn formula(&self) -> Option<Formula> {
        let formula = match &self.kind {
            Kind::Learned { .. } => return None,
            Kind::Fixed(formula) | Kind::Greedy { loss: formula, .. } => formula.clone(),
            Kind::Weighted { terms, .. } => {
                let plus = WordId::of("+").expect("the language has a sum");
                let mut rest = terms.iter().rev().cloned();
                let last = rest.next().expect("a strategy has terms");
                rest.fold(last, |sum, term| Formula::node(plus, &[term, sum]))
            }
        };
        Some(formula)
    }
}

fn learned(typed: &Typed<'_>, losses: &[Loss]) -> Result<Kind> {
    let net = typed.get("net").ok_or_else(|| {
        Fault::new("`learned` names no learned loss")
            .field("loss")
            .expected("as in `learned(RUN)`")
            .found("nothing inside")
            .hint("give the directory of a run of `lossgen learn`")
    })?;
    if let Some(loss) = losses.first() {
        return Err(Fault::new("`learned` has no losses inside")
            .field("loss")
            .expected("as in `learned(RUN)` or `learned(RUN, online=dice_ce)`")
            .found(format!("`{}`", loss.name)));
    }
    let online = typed.get("online").map(|task| (typed.find)(task)).transpose()?;
    Ok(Kind::Learned { loss: Learned::read(net)?, online: online.map(|task| task.formula) })
}

fn terms(losses: &[Loss]) -> Vec<Formula> {
    losses.iter().map(|loss| loss.formula.clone()).collect()
}

fn rebalance(typed: &Typed<'_>, losses: &[Loss]) -> Result<Kind> {
    if losses.len() != 2 {
        return Err(Fault::new("`rebalance` moves from one loss to another")
            .field("loss")
            .expected("two losses")
            .found(losses.len()));
    }
    let additive = typed.choice("form", &[("convex", false), ("additive", true)])?;
    let usual = if additive { Rebalance::additive() } else { Rebalance::default() };
    let form = if additive {
        RebalanceForm::Additive { floor: typed.number("floor", 0.1, 0.0, 1.0)? }
    } else {
        typed.refuse("floor", "`form=additive`")?;
        RebalanceForm::Convex
    };
    let start = typed.number("start", usual.start, 0.0, 1.0)?;
    let end = typed.number("end", usual.end, 0.0, 1.0)?;
    Ok(Kind::Weighted { terms: terms(losses), weighting: Weighting::Rebalance(Rebalance { form, start, end }) })
}

fn softadapt(typed: &Typed<'_>, losses: &[Loss]) -> Result<Kind> {
    let variant = typed.choice(
        "variant",
        &[
            ("corrected", Variant::Corrected),
            ("original", Variant::Original),
            ("normalized", Variant::Normalized),
            ("loss_weighted", Variant::LossWeighted),
        ],
    )?;
    let mut rule = SoftAdapt::new(losses.len(), variant);
    rule.beta = typed.number("beta", rule.beta, -100.0, 100.0)?;
    if variant == Variant::Corrected {
        typed.refuse("every", "a published variant: the corrected one moves every step")?;
    } else {
        typed.refuse("priors", "`variant=corrected`: the published ones know no priors")?;
        rule.every = typed.whole("every", rule.every, 2.0, 6.0)?;
    }
    if let Some(text) = typed.get("priors") {
        let priors = numbers(text).filter(|priors| priors.iter().all(|prior| *prior > 0.0)).unwrap_or_default();
        if priors.len() != losses.len() {
            return Err(Fault::new("wrong priors of `softadapt`")
                .field("priors")
                .expected(format!("{} positive numbers in square brackets", losses.len()))
                .found(format!("`{text}`")));
        }
        rule.priors = priors;
    }
    Ok(Kind::Weighted { terms: terms(losses), weighting: Weighting::SoftAdapt(rule) })
}

fn cov(typed: &Typed<'_>, losses: &[Loss]) -> Result<Kind> {
    let published = typed.choice("form", &[("guarded", false), ("published", true)])?;
    let mut rule = if published { Cov::published(losses.len()) } else { Cov::guarded(losses.len()) };
    if typed.get("decay").is_some() {
        // The authors' default of 1.0 would keep the first value for ever.
        rule.decay = Some(typed.number("decay", 0.0, 0.0, 0.999_999)?);
    }
    Ok(Kind::Weighted { terms: terms(losses), weighting: Weighting::Cov(rule) })
}

fn greedy(typed: &Typed<'_>, losses: &[Loss]) -> Result<Kind> {
    let loss = losses[0].formula.clone();
    let boxes = typed.boxes();
    let named: Vec<&str> = typed.parameters.iter().copied().chain(boxes.iter().map(|(name, _)| *name)).collect();
    let mut greedy = Greedy::new(&loss, &named)?;
    for (name, limits) in boxes {
        let wrong = || {
            Fault::new("wrong limits of a parameter")
                .field(name)
                .expected("two numbers, the least and the largest value, with where it starts between them")
                .found(format!("`{limits}`"))
        };
        let [low, high] = numbers(limits).and_then(|limits| limits.try_into().ok()).ok_or_else(wrong)?;
        greedy.limit(name, low, high).ok_or_else(wrong)?;
    }
    greedy.delta = typed.number("delta", greedy.delta, 1e-6, 10.0)?;
    greedy.every = typed.whole("every", greedy.every, 1.0, 1e6)?;
    let score = typed.choice("score", &[("squared_error", Judgement::SquaredError), ("dice", Judgement::Dice)])?;
    let held_out = typed.choice("held_out", &[("false", false), ("true", true)])?;
    Ok(Kind::Greedy { loss, greedy, score, held_out })
}

#[cfg(test)]
mod tests;
