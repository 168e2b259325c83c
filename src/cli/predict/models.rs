//! Which models predict, and what a person should know of them beforehand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::data::augment::Axis;
use crate::fault::{Fault, Result};
use crate::nn;
use crate::training::model::Model;

/// The model of a folder, or all models in it that one loss trained, by fold.
///
/// # Errors
/// If there is none, one cannot be read, they are of several losses of which none is chosen, or do not go together.
pub(super) fn load(place: &Path, loss: Option<&str>) -> Result<Vec<Model>> {
    let folders = if Model::is_at(place) { vec![place.to_path_buf()] } else { inside(place)? };
    let all = folders.iter().map(|folder| Model::load(folder, &nn::device())).collect::<Result<Vec<Model>>>()?;
    let names: BTreeSet<String> = all.iter().map(|model| model.card.loss.name.clone()).collect();
    let listed = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let wanted = match (loss, names.first()) {
        (Some(loss), _) if names.contains(loss) => loss.to_string(),
        (None, Some(only)) if names.len() == 1 => only.clone(),
        (loss, _) => {
            return Err(Fault::new("models are of several losses, or of another one")
                .file(place)
                .field("--loss")
                .expected(format!("one of {listed}"))
                .found(loss.map_or_else(|| "no choice".to_string(), |loss| format!("`{loss}`")))
                .hint("choose one with `--loss`, or name the folder of one model"));
        }
    };
    let mut models: Vec<Model> = all.into_iter().filter(|model| model.card.loss.name == wanted).collect();
    models.sort_by_key(|model| model.card.training.fold);
    let (first, others) = models.split_first().expect("a name has its model");
    others.iter().try_for_each(|other| first.agrees(other))?;
    Ok(models)
}

/// The models that lie in a folder.
fn inside(place: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(place).map_err(|error| Fault::io("read", place, &error))?;
    let mut folders: Vec<PathBuf> =
        entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| Model::is_at(path)).collect();
    folders.sort();
    if folders.is_empty() {
        return Err(Fault::new("folder is no model and holds none")
            .file(place)
            .expected("`model.ron` and `weights.safetensors`, or folders with both")
            .found("neither")
            .hint("name a run of `lossgen train`, or one of its folders, for example RUN/loss1-fold1"));
    }
    Ok(folders)
}

/// What is no error and should be known.
pub(super) fn remarks<'a>(models: &[Model], mirror: [bool; 3], ids: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut remarks = Vec::new();
    let seen: BTreeSet<&String> = models.iter().flat_map(|model| &model.card.training.cases).collect();
    let known = ids.filter(|id| seen.contains(id)).count();
    if known > 0 {
        remarks.push(format!(
            "{known} of the cases have the id of one that the model was trained on; their masks say nothing about how good it is"
        ));
    }
    let trained = Axis::chosen(&models[0].card.recipe.augment.mirror);
    let strange: String = "ijk"
        .chars()
        .zip(mirror.iter().zip(trained))
        .filter(|(_, (now, then))| **now && !then)
        .map(|(c, _)| c)
        .collect();
    if !strange.is_empty() {
        remarks.push(format!("the model has never seen images mirrored along {strange}; masks may become worse"));
    }
    remarks
}
