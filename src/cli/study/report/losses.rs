//! The losses themselves: their formulas, typeset, and how they behave.

use std::collections::BTreeMap;

use crate::cli::study::standing::Standing;
use crate::fault::Result;
use crate::losses::Loss;
use crate::losses::analysis::{Analysis, behaviours};
use crate::losses::strategy::{Kind, Strategy};
use crate::report::behaviour::card;
use crate::report::page::{Page, escape, preformatted};

/// Longest text of a strategy that is shown: that of a learned loss has all its weights.
const LONGEST: usize = 2000;

/// Drawings of how formulas behave, by their text.
#[derive(Default)]
pub(super) struct Behaviours(BTreeMap<String, String>);

/// Every loss of the comparison.
///
/// # Errors
/// If the manifest has a loss that is none.
pub(super) fn add(page: &mut Page, standing: &Standing<'_>, drawn: &mut Behaviours) -> Result<()> {
    page.section("The losses", "");
    page.paragraph(
        "Formulas are means over samples and classes. Panels: the slope of one voxel of foreground and background against its \
         probability; the loss against the size of a sphere that is missed by a voxel; against errors of its size and place; and \
         where the gradient is in a slice. Losses whose weights or parameters move are shown as they start.",
    );
    for strategy in standing.manifest.losses()? {
        page.heading(&strategy.name);
        if let Some(what) = moves(&strategy) {
            page.paragraph(&what);
        }
        let Some(formula) = strategy.formula() else {
            page.paragraph(
                "A learned loss: a small network, and no formula. `lossgen learn` tells the formula nearest to it.",
            );
            continue;
        };
        page.formula(&formula.mathml());
        let text = formula.to_string();
        page.details(
            "as text",
            &preformatted(&if text.len() > LONGEST { escape(&text[..LONGEST]) + " ..." } else { text.clone() }),
        );
        let svg = drawn.0.entry(text).or_insert_with(|| {
            let loss = Loss { name: strategy.name.clone(), formula };
            behaviours(&[loss], &Analysis::ALL, 0.0).first().map(card).unwrap_or_default()
        });
        page.figure("", svg);
    }
    Ok(())
}

/// What moves in a strategy.
fn moves(strategy: &Strategy) -> Option<String> {
    match &strategy.kind {
        Kind::Fixed(_) | Kind::Learned { online: None, .. } => None,
        Kind::Weighted { terms, .. } => {
            Some(format!("The weights of its {} terms move while a network trains.", terms.len()))
        }
        Kind::Greedy { greedy, .. } => {
            let names =
                greedy.parameters.iter().map(|parameter| parameter.name.as_str()).collect::<Vec<_>>().join(", ");
            Some(format!("Its parameters move by greedy trials every {} steps: {names}.", greedy.every))
        }
        Kind::Learned { .. } => Some("Its weights go on learning while a network trains.".to_string()),
    }
}
