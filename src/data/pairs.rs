//! Which prediction belongs to which truth, and whether the two can be compared voxel by voxel.
//!
//! Files of two folders are partners if they have the same name up to the ending. Guards two rules: nobody is left out
//! (a truth without a prediction would otherwise make the mean better, and a mask that is missing is not one that is
//! empty), and no voxel is compared with one at another place. Resamples nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::layout::{nifti_files, stem};
use super::nifti::read_label;
use crate::fault::{Fault, Result};
use crate::volume::affine::difference;
use crate::volume::{Grid, Volume};

/// The files of a case that is to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskPair {
    /// The truth's file name without its ending.
    pub id: String,
    /// The predicted mask.
    pub prediction: PathBuf,
    /// The true mask.
    pub truth: PathBuf,
}

/// Pairs the masks of two folders by name, sorted by id; or two files, whatever their names.
///
/// # Errors
/// If a path does not exist, one is a file and the other a folder, a folder has no masks, or a mask has no partner.
pub fn pairs(prediction: &Path, truth: &Path) -> Result<Vec<MaskPair>> {
    if let Some(missing) = [prediction, truth].into_iter().find(|path| !path.exists()) {
        return Err(Fault::new("no such file or folder").file(missing).expected("masks: a folder, or one NIfTI file"));
    }
    match (prediction.is_dir(), truth.is_dir()) {
        (true, true) => of_folders(prediction, truth),
        (false, false) => {
            let name = truth.file_name().unwrap_or_default().to_string_lossy();
            let id = stem(&name).unwrap_or(&name).to_string();
            Ok(vec![MaskPair { id, prediction: prediction.to_path_buf(), truth: truth.to_path_buf() }])
        }
        (is_folder, _) => {
            let what = |is_folder: bool| if is_folder { "a folder" } else { "a file" };
            Err(Fault::new("a file cannot be compared with a folder")
                .file(truth)
                .expected(format!("{}, as {}", what(is_folder), prediction.display()))
                .found(what(!is_folder))
                .hint("give two folders, or two files"))
        }
    }
}

fn of_folders(predictions: &Path, truths: &Path) -> Result<Vec<MaskPair>> {
    let (mut predicted, real) = (masks(predictions)?, masks(truths)?);
    let lonely = |of: &BTreeMap<String, PathBuf>, others: &BTreeMap<String, PathBuf>| {
        let mut alone = of.iter().filter(|(id, _)| !others.contains_key(*id)).map(|(_, path)| path.clone());
        alone.next().map(|first| (first, alone.count()))
    };
    if let Some((truth, more)) = lonely(&real, &predicted) {
        return Err(without_partner("truth has no prediction", &truth, more, predictions).hint(
            "predict the missing cases, or give a folder with the truths of the predicted cases only; a case without a prediction is never counted as empty",
        ));
    }
    if let Some((prediction, more)) = lonely(&predicted, &real) {
        return Err(without_partner("prediction has no truth", &prediction, more, truths)
            .hint("a prediction has the name of its truth; move predictions without one to another folder"));
    }
    let pair = |(id, truth): (String, PathBuf)| {
        let prediction = predicted.remove(&id).expect("every truth has a prediction by now");
        MaskPair { id, prediction, truth }
    };
    Ok(real.into_iter().map(pair).collect())
}

fn masks(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let found = nifti_files(folder)?;
    if found.is_empty() {
        let labels = folder.join("labelsTr");
        let hint = if labels.is_dir() {
            format!("did you mean `{}`?", labels.display())
        } else {
            "subfolders are not searched, and other formats have to be converted to NIfTI".to_string()
        };
        return Err(Fault::new("folder has no masks")
            .file(folder)
            .expected("files named ID.nii.gz or ID.nii")
            .hint(hint));
    }
    Ok(found)
}

/// The first mask that is alone, where its partner should be, and how many `more` are like it.
fn without_partner(summary: &str, mask: &Path, more: usize, others: &Path) -> Fault {
    let found = if more == 0 { "no such file".to_string() } else { format!("no such file, and {more} more like it") };
    let partner = others.join(mask.file_name().unwrap_or_default());
    Fault::new(summary).file(mask).expected(partner.display()).found(found)
}

impl MaskPair {
    /// Reads prediction and truth, in this order, both as masks of labels from 0 to 255.
    ///
    /// # Errors
    /// As [`read_label`], or if the two are on different grids.
    pub fn read(&self) -> Result<(Volume<u8>, Volume<u8>)> {
        let (prediction, truth) = (read_label(&self.prediction)?, read_label(&self.truth)?);
        let Some(difference) = difference(&truth.grid, &prediction.grid) else { return Ok((prediction, truth)) };
        let whole = |grid: &Grid, part: String| match difference.what {
            "direction" => format!("{}, direction {part}", in_words(grid)),
            _ => in_words(grid),
        };
        Err(Fault::new(format!("prediction and truth are on different grids: {} differs", difference.what))
            .file(&self.prediction)
            .expected(format!("{}, as {}", whole(&truth.grid, difference.first), self.truth.display()))
            .found(whole(&prediction.grid, difference.second))
            .hint("write predictions on the grid and with the header of their image; nothing is resampled here"))
    }
}

/// A grid on one line. Rounded far below the tolerance, because 0.8 in float32 is 0.800000011920929.
fn in_words(grid: &Grid) -> String {
    let rounded = |x: f64| (x * 1e6).round() / 1e6;
    let [depth, height, width] = grid.shape;
    let [i, j, k] = grid.spacing.map(rounded);
    let [x, y, z] = grid.affine.map(|row| rounded(row[3]));
    format!("{depth} x {height} x {width} voxels of {i} x {j} x {k} mm, origin ({x}, {y}, {z}) mm")
}

#[cfg(test)]
mod tests {
    use super::super::nifti::write_new_label;
    use super::*;

    type Change = fn(&mut Grid);

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        folder
    }

    #[test]
    fn partners_have_the_same_id_whatever_their_ending() {
        let predictions = folder(&["b.nii.gz", "a.001.nii.gz", "summary.json", "._b.nii.gz"]);
        let truths = folder(&["a.001.nii", "b.nii.gz", "._a.001.nii", ".DS_Store"]);
        let found = pairs(predictions.path(), truths.path()).unwrap();
        let ids: Vec<&str> = found.iter().map(|pair| pair.id.as_str()).collect();
        assert_eq!(ids, ["a.001", "b"]);
        assert!(found[0].prediction.ends_with("a.001.nii.gz") && found[0].truth.ends_with("a.001.nii"));
        let files = pairs(&predictions.path().join("b.nii.gz"), &truths.path().join("a.001.nii")).unwrap();
        assert_eq!((files.len(), files[0].id.as_str()), (1, "a.001"));
    }

    #[test]
    fn nobody_is_left_out_silently() {
        let (both, one, none) = (folder(&["a.nii", "b.nii", "c.nii"]), folder(&["a.nii"]), folder(&["notes.txt"]));
        let message = |prediction: &Path, truth: &Path| pairs(prediction, truth).unwrap_err().to_string();
        let text = message(one.path(), both.path());
        assert!(text.starts_with("truth has no prediction") && text.contains("and 1 more like it"), "{text}");
        assert!(text.contains(&both.path().join("b.nii").display().to_string()), "{text}");
        assert!(text.contains(&one.path().join("b.nii").display().to_string()), "{text}");
        assert!(message(both.path(), one.path()).starts_with("prediction has no truth"));
        assert!(message(none.path(), one.path()).starts_with("folder has no masks"));
        assert!(message(one.path(), &one.path().join("a.nii")).starts_with("a file cannot be compared with a folder"));
        assert!(message(one.path(), &one.path().join("d")).starts_with("no such file or folder"));
        std::fs::create_dir(none.path().join("labelsTr")).unwrap();
        let fault = pairs(one.path(), none.path()).unwrap_err();
        assert!(miette::Diagnostic::help(&fault).unwrap().to_string().contains("labelsTr"));
    }

    #[test]
    fn other_grids_are_refused_and_both_are_told() {
        let home = tempfile::tempdir().unwrap();
        let pair = MaskPair {
            id: "a".into(),
            prediction: home.path().join("prediction.nii"),
            truth: home.path().join("truth.nii"),
        };
        let grid = Grid::aligned([2, 3, 4], [0.8, 1.0, 3.0]);
        let with = |change: fn(&mut Grid)| {
            let mut other = grid.clone();
            change(&mut other);
            let mask = |grid: &Grid| Volume { grid: grid.clone(), voxels: vec![1; grid.voxels()] };
            write_new_label(&pair.truth, &mask(&grid)).unwrap();
            write_new_label(&pair.prediction, &mask(&other)).unwrap();
            pair.read().map_err(|fault| fault.to_string())
        };
        assert!(with(|_| ()).is_ok());
        let cases: [(Change, &str); 4] = [
            (|grid| grid.shape = [2, 3, 5], "2 x 3 x 5 voxels"),
            (|grid| *grid = Grid::aligned([2, 3, 4], [0.8, 1.0, 2.0]), "0.8 x 1 x 2 mm"),
            (|grid| grid.affine[2][3] = -7.5, "origin (0, 0, -7.5) mm"),
            (|grid| grid.affine[0][0] = -0.8, "direction [[-1"),
        ];
        for (change, found) in cases {
            let text = with(change).unwrap_err();
            for part in
                ["prediction.nii", "truth.nii", "2 x 3 x 4 voxels of 0.8 x 1 x 3 mm, origin (0, 0, 0) mm", found]
            {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }
}
