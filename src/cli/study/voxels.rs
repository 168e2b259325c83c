//! `voxels.csv` of a run: which share of its voxels each class has in each case, for reports that are made without the data.

use std::path::Path;

use super::Plan;
use crate::fault::{Fault, Result};

/// Name of the file.
pub(super) const FILE: &str = "voxels.csv";

/// A class, and its share of the voxels of each case, 0 to 1.
pub(super) type Shares = (String, Vec<f64>);

impl Plan {
    /// The table, of the images as networks see them.
    ///
    /// # Errors
    /// None that a person can cause.
    pub(super) fn voxels(&self) -> Result<(&'static str, Vec<u8>)> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        let failed = |error: csv::Error| Fault::failed(format!("cannot write shares of voxels: {error}"));
        csv.write_record(["case", "class", "voxels", "of"]).map_err(failed)?;
        for case in &self.cases {
            let all = case.grid().voxels();
            for (class, places) in self.dataset.classes.iter().zip(&case.voxels_of_class) {
                let row = [case.id.as_str(), class.as_str(), &places.len().to_string(), &all.to_string()];
                csv.write_record(row).map_err(failed)?;
            }
        }
        Ok((FILE, csv.into_inner().map_err(|error| Fault::failed(error.to_string()))?))
    }
}

/// What the table of a run says, the background last; nothing if it has none, as runs of earlier versions.
///
/// # Errors
/// If it cannot be read.
pub(super) fn read(run: &Path) -> Result<Vec<Shares>> {
    let file = run.join(FILE);
    if !file.is_file() {
        return Ok(Vec::new());
    }
    let damaged = |found: String| {
        Fault::new("shares of voxels cannot be read")
            .file(&file)
            .expected("case,class,voxels,of")
            .found(found)
            .hint("remove the file; `lossgen compare --resume` writes it again")
    };
    let mut reader = csv::Reader::from_path(&file).map_err(|error| damaged(error.to_string()))?;
    let (mut classes, mut background): (Vec<Shares>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut last = String::new();
    for row in reader.deserialize() {
        let (case, class, voxels, of): (String, String, f64, f64) = row.map_err(|error| damaged(error.to_string()))?;
        if case != last {
            background.push(1.0);
            last = case;
        }
        if let Some(rest) = background.last_mut() {
            *rest -= voxels / of;
        }
        match classes.iter_mut().find(|(name, _)| *name == class) {
            Some((_, shares)) => shares.push(voxels / of),
            None => classes.push((class, vec![voxels / of])),
        }
    }
    classes.push(("background".to_string(), background));
    Ok(classes)
}
