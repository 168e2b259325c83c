//! The page about the losses of the catalog: `docs/losses.md` and its pictures.
//!
//! Guards that the page says what the program does: every formula, range and default is read off the tables that compute
//! them, and a test compares the page in the repository with this text. Formulas are set as plain text: LaTeX in tables
//! loses its bars, and the macros for named operators are not rendered by code hosts.

use super::behaviour::{card, sheet};
use crate::formula::Formula;
use crate::formula::word::Op;
use crate::formula::words::WORDS;
use crate::losses::Loss;
use crate::losses::analysis::{Analysis, behaviours};
use crate::losses::catalog::{CATALOG, Entry, Family};
use crate::losses::form::Switch;

/// With what the page begins; a file that begins otherwise is somebody's own.
pub const FIRST_LINE: &str =
    "<!-- Written by `lossgen loss docs docs`. Edit `src/report/catalog.rs` or the tables it reads instead. -->\n";

/// The folder of the pictures, beside the page.
pub const PICTURES: &str = "losses";

const FAMILIES: [(Family, &str, &str); 4] = [
    (
        Family::Distribution,
        "distribution",
        "Every voxel on its own. `ce_fg` is -y log p, `ce_bg` is -(1 - y) log(1 - p), `abs_diff` is |p - y|.",
    ),
    (
        Family::Region,
        "region",
        "The overlap of prediction and target. `tp` is p y, `fp` is p (1 - y), `fn` is (1 - p) y, summed over the voxels.",
    ),
    (Family::Distance, "distance", "The distance of prediction and target."),
    (Family::Compound, "compound", "Sums and powers of these."),
];

const ABOUT: &str = "
# Losses

Every loss is a formula over what a voxel can get right or wrong. p is the predicted probability, y the target. Type the
name wherever a loss is asked for, alone or with parameters and switches: `tversky(fp_weight=0.4, fn_weight=0.6)`,
`dice(batch=true)`. `lossgen loss show L` prints a loss with its LaTeX, `lossgen loss plot L...` draws the pictures of
this page for any losses, side by side.

## What to know

- **Losses take logits**, never probabilities: p, 1 - p and their logarithms are each computed from the logit, so values
  and gradients are finite for every logit. One class has a sigmoid; several are independent sigmoids or one softmax.
- **A loss is computed per sample and class and then averaged.** Where the background is a class, region and distance
  losses leave it out unless `background=true`; cross-entropy counts it.
- **An empty target silences region losses.** With no foreground there is no overlap to win: whatever is predicted, the
  loss is about 1 and its gradient vanishes (near 1e-9, where cross-entropy has 1e-2). A false positive in such a patch
  costs nothing to keep. `batch=true` sums over all samples before the ratio, so that an empty sample is judged together
  with the others; adding cross-entropy (`dice_ce`) or smoothing by a whole voxel (`smooth_nr=1, smooth_dr=1`) helps as
  well. The smoothing of 1e-5 only keeps 0 / 0 away: it does not make nothing predicted for
  nothing wanted cost 0.
- **Saturation silences them too**: at logits of 50 that are all wrong, a region loss has no gradient left, while
  cross-entropy keeps its full one.
- **The boundary loss is negative at its best**, because distances inside of the target are: a falling loss below 0 is
  progress, not a mistake. The rim of a target is worth nothing to it, so one voxel too small is no error, and with soft
  probabilities even a little better than right. It does not train a network from scratch; add a region loss, for example
  `(+ (* (- 1 t) dice) (* t boundary))`, in which t goes from 0 to 1 during a training.
- **Distances are 0 where there is no border**, in an empty and in a full mask, and are in voxels unless `spacing=true`.
  `hausdorff` also needs the distances of the prediction at every step, which makes it the most expensive loss here;
  `one_sided=true` leaves them out.
- **Powers below 1 are taken of a loss of at least 1e-7**, per sample and class: an exponent below 1 has an infinite slope at 0.

## How to read the pictures

Targets are made, not scanned: spheres of several radii; a sphere, an ellipsoid, a vertebra and a thin plate of equal
volume. Predictions are these shapes grown, shrunk by whole voxels, or moved, with probabilities that fall softly over
the border. *Structure size* keeps the error at one voxel, which is what people and networks are wrong by at any size.
*Slope of one voxel* is dL/dlogit against the probability of one voxel three voxels from the border: below 0 its
probability is pushed up, above 0 down. The slice is that of a vertebra predicted two voxels beside its place, with an
island that is not there. The picture of a family compares its losses: there the value is the rise above the loss
of the target itself, in shares of each loss's largest.
";

/// The page.
pub fn page() -> String {
    let mut text = format!("{FIRST_LINE}{ABOUT}");
    for (family, name, about) in FAMILIES {
        let mut title = name.to_string();
        title[..1].make_ascii_uppercase();
        text += &format!("\n## {title}\n\n{about}\n\n![losses of the family]({PICTURES}/{name}.svg)\n\n");
        text += "| loss | formula, parameters, source | behaviour |\n| --- | --- | --- |\n";
        for entry in members(family) {
            text += &row(entry);
        }
    }
    text += "\n## Parameters\n\nNumbers: what people set and what searches tune.\n\n| parameter | default | range | meaning |\n| --- | --- | --- | --- |\n";
    let switches = switches();
    for word in WORDS {
        if let Op::Parameter { default, low, high } = word.op {
            let [default, low, high] = [default, low, high].map(|value| Formula::number(value).to_string());
            // Such a parameter is not there until it is set.
            let default = if switches.iter().any(|switch| switch.name == word.name) { "off" } else { &default };
            text += &format!("| `{}` | {default} | {low} to {high} | {} |\n", word.name, cell(word.meaning));
        }
    }
    text += "\nWhere a loss has another default than the parameter, the table of the loss says so.\n";
    text += "\n## Switches\n\nA switch chooses another formula.\n\n| switch | meaning |\n| --- | --- |\n";
    for switch in switches {
        text += &format!("| `{}` | {} |\n", switch.name, cell(switch.meaning));
    }
    text
}

/// The pictures of the page: name of the file, and the file.
pub fn pictures() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for (family, name, _) in FAMILIES {
        let losses: Vec<Loss> =
            members(family).map(|entry| Loss { name: entry.name.to_string(), formula: entry.formula() }).collect();
        let behaviours = behaviours(&losses, &Analysis::ALL, 0.0);
        files.extend(behaviours.iter().map(|behaviour| (format!("{}.svg", behaviour.loss), card(behaviour))));
        // The slices are on the cards, in the order of the table.
        let charts: Vec<Analysis> = Analysis::ALL.into_iter().filter(|analysis| *analysis != Analysis::Slice).collect();
        files.push((format!("{name}.svg"), sheet(&behaviours, &charts)));
    }
    files
}

fn members(family: Family) -> impl Iterator<Item = &'static Entry> {
    CATALOG.iter().filter(move |entry| entry.family == family)
}

fn row(entry: &Entry) -> String {
    let formula = entry.formula();
    let mut parts = vec![format!("`{}`", cell(&formula.infix()))];
    let parameters: Vec<String> = parameters(&formula);
    if !parameters.is_empty() {
        parts.push(format!("**Parameters** {}", parameters.join(", ")));
    }
    let switches: Vec<String> = entry.switches.iter().map(|switch| format!("`{}`", switch.name)).collect();
    if !switches.is_empty() {
        parts.push(format!("**Switches** {}", switches.join(", ")));
    }
    parts.push(format!("**Source** {}", cell(entry.source)));
    parts.push(format!("**Elsewhere** {}", cell(entry.elsewhere)));
    let name = entry.name;
    format!(
        "| **`{name}`** | {} | <img src=\"{PICTURES}/{name}.svg\" alt=\"behaviour of {name}\" width=\"460\"> |\n",
        parts.join("<br><br>")
    )
}

/// Name, default in this formula, and range.
fn parameters(formula: &Formula) -> Vec<String> {
    let range = |name: &str| {
        WORDS.iter().find(|word| word.name == name).and_then(|word| match word.op {
            Op::Parameter { low, high, .. } => Some((low, high)),
            _ => None,
        })
    };
    let text = |(name, value): (&str, f64)| {
        let (low, high) = range(name).expect("a parameter of a formula is a word");
        let [value, low, high] = [value, low, high].map(Formula::number);
        format!("`{name}={value}` ({low} to {high})")
    };
    formula.parameters().into_iter().map(text).collect()
}

/// Every switch of the catalog once, in the order of its first use.
fn switches() -> Vec<Switch> {
    let mut found: Vec<Switch> = Vec::new();
    for switch in CATALOG.iter().flat_map(|entry| entry.switches) {
        if !found.contains(switch) {
            found.push(*switch);
        }
    }
    found
}

/// Text that does not end a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_has_a_row_and_a_picture() {
        let page = page();
        for entry in CATALOG {
            let picture = format!("{PICTURES}/{}.svg", entry.name);
            assert_eq!(page.matches(&format!("\"{picture}\"")).count(), 1, "{}", entry.name);
        }
        assert_eq!(FAMILIES.iter().flat_map(|(family, ..)| members(*family)).count(), CATALOG.len());
    }

    #[test]
    fn rows_have_three_cells() {
        for entry in CATALOG {
            let bars = row(entry).replace("\\|", "").matches('|').count();
            assert_eq!(bars, 4, "{}", entry.name);
        }
    }

    #[test]
    fn parameters_show_the_value_of_the_loss_and_their_range() {
        let asymmetric = crate::losses::named("asymmetric").unwrap().formula;
        assert_eq!(parameters(&asymmetric)[0], "`beta=1.5` (0.05 to 10)");
    }
}
