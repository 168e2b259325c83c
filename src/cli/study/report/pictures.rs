//! Pictures of cases: the best, the middle and the worst of every loss that is complete, by mean Dice over the classes.
//!
//! They are made of the masks that were kept when a cell was done, on the grid that the network sees: so nothing is predicted
//! again, and phantoms have pictures too. A picture is kept as a file of the run, because it takes a second and the page is
//! written again with every cell.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::cli::study::cell::stem;
use crate::cli::study::files::mask_file;
use crate::cli::study::manifest::StudyManifest;
use crate::cli::study::record::Record;
use crate::cli::study::standing::Standing;
use crate::data::{Case, nifti};
use crate::fault::{Fault, Result};
use crate::metrics::Metric;
use crate::metrics::table::{Row, Table};
use crate::report::overlay::overlay;
use crate::report::page::Page;
use crate::report::solid::{View, render};
use crate::run::RunDir;
use crate::training::model::ModelCard;
use crate::volume::Volume;

/// Folder of the pictures in a run.
const FOLDER: &str = "pictures";

/// Slices with contours, and bodies in space.
type Pair = [Vec<u8>; 2];

/// The cases of which there are pictures.
pub(super) struct Pictures<'a>(BTreeMap<String, &'a Case>);

/// A case that is shown.
struct Shown<'a> {
    what: &'static str,
    case: String,
    dice: f64,
    fold: usize,
    record: &'a Record,
}

impl<'a> Pictures<'a> {
    pub(super) fn new(cases: &'a [Arc<Case>], manifest: &StudyManifest) -> Self {
        Self(manifest.cases.iter().cloned().zip(cases.iter().map(Arc::as_ref)).collect())
    }

    /// The section of the page.
    ///
    /// # Errors
    /// If a mask that was kept cannot be read, or a picture cannot be made.
    pub(super) fn add(
        &self,
        page: &mut Page,
        standing: &Standing<'_>,
        out: &RunDir,
        remark: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let mut begun = false;
        let mut lost = 0;
        for loss in standing.complete() {
            let shown = shown(standing, loss);
            if shown.is_empty() {
                continue;
            }
            if !begun {
                page.section("Cases", "");
                page.paragraph(
                    "The best, the middle and the worst case of each loss by Dice (mean over classes), with the first seed. Slices \
                     through the middle of the structure along three axes: blue is the truth, orange the prediction. Below: truth \
                     and prediction as bodies in the volume, and how far the predicted surface is from the true one.",
                );
                begun = true;
            }
            page.heading(standing.name(loss));
            for one in shown {
                let stem = stem(standing.manifest, loss, one.fold, standing.manifest.seeds[0]);
                let Some([slices, bodies]) = self.pair(out, &stem, &one)? else {
                    lost += 1;
                    continue;
                };
                let caption = format!("{}: {}, Dice {:.1} %", one.what, one.case, 100.0 * one.dice);
                page.picture(&caption, &slices);
                page.picture("", &bodies);
            }
        }
        if lost > 0 {
            remark(&format!("{lost} pictures are missing: their masks were not kept, or are gone"));
        }
        Ok(())
    }

    fn pair(&self, out: &RunDir, stem: &str, shown: &Shown<'_>) -> Result<Option<Pair>> {
        // The digest tells a picture from that of an earlier training in the same place.
        let digest = &shown.record.key[..shown.record.key.len().min(8)];
        let name = |what: &str| format!("{FOLDER}/{stem}-{digest}-{}-{what}.png", shown.case.replace('/', "_"));
        let names = ["slices", "bodies"].map(name);
        if names.iter().all(|name| out.file(name).is_file()) {
            let read = |name: &String| {
                let file = out.file(name);
                std::fs::read(&file).map_err(|error| Fault::io("read", &file, &error))
            };
            return Ok(Some([read(&names[0])?, read(&names[1])?]));
        }
        let (Some(case), Some(mask)) = (self.0.get(&shown.case), mask(out.path(), stem, &shown.case)?) else {
            return Ok(None);
        };
        let (image, truth) = (case.channels[0].whole()?, case.label.whole()?);
        let prediction = case.way.labels(&mask);
        let pair = [overlay(&image, &truth, &prediction)?, render(&image, &truth, &prediction, View::SAGITTAL)?];
        let folder = out.file(FOLDER);
        std::fs::create_dir_all(&folder).map_err(|error| Fault::io("create", &folder, &error))?;
        names.iter().zip(&pair).try_for_each(|(name, png)| out.write(name, png))?;
        Ok(Some(pair))
    }
}

/// The mask of a case as classes; none if it was not kept.
fn mask(run: &Path, stem: &str, case: &str) -> Result<Option<Volume<u8>>> {
    let (file, card) = (mask_file(run, stem, case), run.join(stem).join("model.ron"));
    if !file.is_file() || !card.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&card).map_err(|error| Fault::io("read", &card, &error))?;
    let classes = ModelCard::read(&card.display().to_string(), &text)?.classes();
    let class = |value: &u8| {
        let place = classes.iter().position(|label| label.value == *value);
        place.map_or(0, |place| place as u8 + 1)
    };
    Ok(Some(nifti::read_label(&file)?.map(class)))
}

/// The best, the middle and the worst case with the first seed.
fn shown<'a>(standing: &'a Standing<'_>, loss: usize) -> Vec<Shown<'a>> {
    let first = standing.manifest.seeds[0];
    let mut cases: Vec<Shown<'a>> = Vec::new();
    for (loss, fold, seed) in standing.places(loss).filter(|(_, _, seed)| *seed == first) {
        let Some(record) = standing.result((loss, fold, seed)) else { continue };
        let table = Table { rows: record.rows().map_or(Vec::new(), Vec::<Row>::clone) };
        for (case, dice) in table.by_subject(Metric::Dice, None) {
            cases.push(Shown { what: "", case: case.to_string(), dice, fold, record });
        }
    }
    cases.sort_by(|a, b| b.dice.total_cmp(&a.dice).then_with(|| a.case.cmp(&b.case)));
    let mut places: Vec<(usize, &'static str)> = match cases.len() {
        0 => Vec::new(),
        1 => vec![(0, "the only case")],
        2 => vec![(0, "best"), (1, "worst")],
        n => vec![(0, "best"), (n / 2, "middle"), (n - 1, "worst")],
    };
    places.reverse();
    let mut shown = Vec::new();
    for (place, what) in places {
        shown.push(Shown { what, ..cases.swap_remove(place) });
    }
    shown.reverse();
    shown
}
