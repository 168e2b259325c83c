//! What every field of a configuration means: one table, in the order of the document.
//!
//! Defaults do not stand here, they are asked for; a test walks all fields and finds each exactly once.

use super::super::config::Config;
use crate::fault::Result;
use crate::notation;

/// A field, or several with the same meaning.
pub(super) struct Field {
    /// The way to it. One that begins with `recipe` or `window` stands in every section that has such a part.
    path: &'static str,
    /// Of its value; empty for a bare number or a name.
    pub(super) unit: &'static str,
    /// What it may be.
    pub(super) range: &'static str,
    /// What it decides.
    pub(super) means: &'static str,
}

/// Where the fields of a recipe and of a window stand.
const RECIPES: [&str; 3] = ["proxy.", "learn.", "train."];
const WINDOWS: [&str; 2] = ["proxy.", "train."];

const fn field(path: &'static str, unit: &'static str, range: &'static str, means: &'static str) -> Field {
    Field { path, unit, range, means }
}

const SHARE: &str = "0 to 1";

#[rustfmt::skip]
static FIELDS: &[Field] = &[
    field("version", "", "1", "version of the file format; has to be there"),
    field("seed", "", "any whole number", "seed of everything random; has to be there"),
    field("data", "folder", "Phantoms(...) or Decathlon(\"DIR\")", "where the cases come from; Decathlon reads every layout that is known; has to be there; `--data` replaces it"),
    field("data.cases", "", "1 to 10000", "phantoms: number of cases"),
    field("data.shape", "voxels", "8 to 512 along i, j, k", "phantoms: size of every volume"),
    field("data.seed", "", "any whole number", "phantoms: names the set; the first cases do not depend on how many follow"),
    field("preprocess.axes", "", "None, or letters as in \"RAS\"", "directions in which the axes of every image are to run; permuted and flipped, never interpolated; None keeps those of the file"),
    field("preprocess.crop", "", "true, false", "cut images to the box of voxels that are not zero in some channel"),
    field("preprocess.clip_percentiles", "%", "0 <= low < high <= 100", "intensities beyond are clipped, channel by channel"),
    field("preprocess.average", "voxels", "1 to 64 along i, j, k", "so many voxels are averaged to one, after turning"),
    field("preprocess.spacing", "mm", "None, or three positive numbers", "spacing to resample to instead of averaging; None keeps that of each image"),
    field("preprocess.through_plane", "", "Nearest, Linear", "along an axis more than three times as coarse as the finest, slices are repeated or blended"),
    field("preprocess.labels", "", "Foreground, Classes", "all labels one class, or every label its own"),
    field("cache.above_gib", "GiB", "0 or more", "sets that need more memory are kept in files"),
    field("cache.folder", "folder", "None, or a path", "where these files are; None for the person's cache"),
    field("split.validation", "share of cases", "0 to 1, part of a whole", "cases on which the search judges candidates"),
    field("split.held_out", "share of cases", "0 to 1, part of a whole", "cases that the search never sees: for final trainings and verdicts"),
    field("split.seed", "", "None, or any whole number", "of the division, where several searches are to be judged on the same cases; None for the run's own"),
    field("network.width", "feature maps", "1 to 512", "of the first level; each further level has twice as many"),
    field("network.levels", "", "1 to 7", "levels of the U-Net, each at half the resolution"),
    field("network.activation", "", "Sigmoid, Softmax", "a sigmoid for each class, or a softmax over classes and background"),
    field("network.shape", "", "Auto, Isotropic", "kernels and strides as spacing and patch ask for, or alike along all axes"),
    field("proxy.warm_steps", "optimiser steps", "1 or more", "of Dice + CE for the first shared start"),
    field("proxy.more_starts", "", "a list of (loss: \"L\", share: S), S above 0, at most 2", "further starts: the loss, and its steps as a share of warm_steps"),
    field("proxy.scratch_steps", "optimiser steps", "None, or 1 or more", "of a training from scratch; None for those of the first start"),
    field("recipe.steps", "optimiser steps", "1 or more", "length of a training; in `proxy` of the longest from a start, in `learn` the life of a network; 300 in a recipe that is written without it"),
    field("recipe.learning_rate", "", "above 0", "at the first step; decays as (1 - step / steps)^0.9"),
    field("recipe.optimizer", "", "Adam, or Sgd(momentum: M, nesterov: B, weight_decay: D)", "what makes a step of a gradient; in `learn` Adam alone"),
    field("recipe.patches.patch", "voxels", "1 or more along i, j, k; divisible as the network asks", "size of a patch"),
    field("recipe.patches.batch", "patches", "1 or more", "patches of a step"),
    field("recipe.patches.foreground_share", "", SHARE, "probability that a patch is centred on a voxel of a random class"),
    field("recipe.augment.mirror", "axes", "a list of I, J, K", "each is flipped with probability one half"),
    field("recipe.augment.affine", "", "None, or ( ... )", "rotation, scale, shear and shift; `()` for the defaults"),
    field("recipe.augment.affine.probability", "", SHARE, "for each patch"),
    field("recipe.augment.affine.rotation", "degrees", "0 or more about i, j, k", "largest rotation, to either side"),
    field("recipe.augment.affine.scale", "", "0.1 <= low <= high <= 10", "range of the size factor"),
    field("recipe.augment.affine.shear", "mm per mm", "0 to 0.33", "largest shear, to either side"),
    field("recipe.augment.affine.translation", "voxels", "0 or more", "largest shift along each axis, to either side"),
    field("recipe.augment.elastic", "", "None, or ( ... )", "smooth deformation"),
    field("recipe.augment.elastic.probability", "", SHARE, "for each patch"),
    field("recipe.augment.elastic.grid", "mm", "5 or more", "distance of two points of the coarse grid"),
    field("recipe.augment.elastic.displacement", "mm", "0 to 0.4 of the grid", "largest displacement along each axis, to either side"),
    field("recipe.augment.noise", "", "None, or ( ... )", "Gaussian noise"),
    field("recipe.augment.noise.probability", "", SHARE, "for each channel of a patch"),
    field("recipe.augment.noise.deviation", "standard deviations of the image", "0 <= low <= high", "range of the noise's standard deviation"),
    field("recipe.augment.blur", "", "None, or ( ... )", "Gaussian blur"),
    field("recipe.augment.blur.probability", "", SHARE, "for each channel of a patch"),
    field("recipe.augment.blur.deviation", "voxels", "0 <= low <= high", "range of the Gaussian's standard deviation"),
    field("recipe.augment.brightness", "", "None, or ( ... )", "a factor for all values"),
    field("recipe.augment.brightness.probability", "", SHARE, "for each channel of a patch"),
    field("recipe.augment.brightness.factor", "", "0 <= low <= high", "range of the factor"),
    field("recipe.augment.contrast", "", "None, or ( ... )", "a factor for the distance from the mean"),
    field("recipe.augment.contrast.probability", "", SHARE, "for each channel of a patch"),
    field("recipe.augment.contrast.factor", "", "0 <= low <= high", "range of the factor"),
    field("recipe.augment.bias_field", "", "None, or ( ... )", "the shading of coils"),
    field("recipe.augment.bias_field.probability", "", SHARE, "for each channel of a patch"),
    field("recipe.augment.bias_field.coefficient", "", "0 to 1", "largest coefficient of a polynomial, to either side"),
    field("recipe.augment.low_resolution", "", "None, or ( ... )", "fewer voxels, interpolated back"),
    field("recipe.augment.low_resolution.probability", "", SHARE, "for each channel of a patch"),
    field("recipe.augment.low_resolution.zoom", "", "0.05 <= low <= high <= 1", "range of the share of voxels that are left along an axis"),
    field("recipe.augment.gamma", "", "None, or ( ... )", "a bent curve of intensities"),
    field("recipe.augment.gamma.probability", "", SHARE, "for each channel of a patch"),
    field("recipe.augment.gamma.exponent", "", "0.1 <= low <= high <= 10", "range of the exponent"),
    field("recipe.augment.gamma.inverted", "", SHARE, "share of the changes that are done to the negative image"),
    field("recipe.augment.mixup", "", "None, or ( ... )", "mixing with another patch of the batch"),
    field("recipe.augment.mixup.alpha", "", "above 0, at most 1000", "both parameters of the Beta distribution of the share"),
    field("recipe.precision", "", "F32, Bf16", "of the products of convolutions; sums, weights, losses and predictions are of 32 bits"),
    field("window.patch", "voxels", "1 or more along i, j, k", "how whole volumes are predicted: `Sliding(patch: ..., overlap: ...)`, or `Whole` for all at once"),
    field("window.overlap", "share of a patch", "0 to below 1", "by which neighbouring patches overlap"),
    field("search.defaults", "", "the newest", "which table of defaults the settings that are left out come from"),
    field("search.strategy", "", "evolution, random, enumerate, hillclimb, plain", "how children are made"),
    field("search.population", "individuals", "2 to 100000", "losses of a generation"),
    field("search.islands", "", "1 to 1000", "islands that breed for themselves, each of at least six individuals"),
    field("search.migration", "", SHARE, "share of the parents that come from the neighbouring island"),
    field("search.turnover", "", "above 0, at most 1", "share of a generation that children replace, the oldest first"),
    field("search.founders", "losses", "0 or more", "most losses of the catalog in the first population"),
    field("search.atlas", "words", "0 to 8", "largest losses of the atlas among founders and immigrants; 0 for random ones only"),
    field("search.generations", "", "0 or more", "most generations after the first population"),
    field("search.most_trainings", "trainings", "None, or a number", "budget: most trainings, of whatever length"),
    field("search.most_steps", "optimiser steps", "None, or a number", "budget: most steps of all trainings together"),
    field("search.most_minutes", "minutes", "None, or above 0", "budget of one go; a generation that has begun is finished"),
    field("search.tournament", "individuals", "1 to the population", "that a tournament draws"),
    field("search.certainty", "", "above 0.5, at most 1", "chance that the best of a tournament wins; else the second, and so on"),
    field("search.by_front", "", SHARE, "share of tournaments decided by fronts of Dice, surface distance and size"),
    field("search.by_novelty", "", SHARE, "share of tournaments decided by how differently a loss behaves"),
    field("search.elites", "individuals", "fewer than the population", "best ones that age does not remove; trained on further replicates"),
    field("search.scratch_weight", "", SHARE, "share of a gain that is made from scratch, the rest from a shared start; 0: only elites train from scratch"),
    field("search.scratch_share", "", SHARE, "share of the control's Dice that a training from scratch must reach"),
    field("search.crossover", "", SHARE, "share of children made by crossover; the rest is mutated"),
    field("search.greedy", "", SHARE, "share of attempts at a child in which constants move by greedy trials during a training; each costs one"),
    field("search.immigrants", "", SHARE, "share of children that owe nothing to anybody"),
    field("search.rates.point", "relative to the others", "0 or more", "one word replaced"),
    field("search.rates.constant", "relative to the others", "0 or more", "one constant moved"),
    field("search.rates.wrap", "relative to the others", "0 or more", "a subtree made an argument of a new word"),
    field("search.rates.unwrap", "relative to the others", "0 or more", "a word dropped, one of its arguments in its place"),
    field("search.rates.insert", "relative to the others", "0 or more", "a random term added"),
    field("search.rates.delete", "relative to the others", "0 or more", "a term or a factor left out"),
    field("search.rates.regrow", "relative to the others", "0 or more", "a subtree replaced by a random one"),
    field("search.rates.hoist", "relative to the others", "0 or more", "a subtree replaced by a part of itself"),
    field("search.toll_per_word", "Dice", "0 or more", "what a word must be worth when individuals compete"),
    field("search.crowding", "Dice", "0 or more", "what a size costs in tournaments if it is as frequent as all together on an even spread"),
    field("search.rungs", "", "1 to 5", "rungs of the proxy: on each a third survives, with three times the steps; on the last, what counts is trained"),
    field("search.replicates", "trainings", "1 to 100", "most replicates of the whole training, for elites and finalists"),
    field("search.finalists", "individuals", "1 to 100", "that race for the first place at the end"),
    field("search.tuning", "rounds", "0 to 100", "of four trials in which the constants of the winner are tuned"),
    field("search.headroom", "losses", "0 or more", "of the short report before the search; 0 for none"),
    field("search.random_size", "words", "0 to 4096", "largest random formula"),
    field("search.sampling", "", "Rules, Sizes", "random formulas rule by rule, or every size as often as any other"),
    field("search.attempts", "", "1 to 10000", "attempts at a child that is new before a random one is drawn"),
    field("search.gates", "", "all, none, only([structure, envelope, profile, duplicate, descent])", "gates that candidates must pass before they are trained"),
    field("search.grammar", "", "polarity, region, distribution, distance, untyped, or a file", "what a loss may say"),
    field("learn.lessons", "", "1 or more", "steps of the optimiser of the loss"),
    field("learn.networks", "", "1 to 64", "networks that learn side by side, spread over the ages of a training"),
    field("learn.hidden", "units", "1 to 1024", "of each hidden layer of the loss"),
    field("learn.learning_rate", "", "above 0", "of Adam for the loss; falls to a tenth along a cosine"),
    field("learn.task", "", "a loss", "what a network is to be good at"),
    field("learn.listens.progress", "", "true, false", "whether the loss knows the progress of the training"),
    field("learn.listens.distance", "", "true, false", "whether it knows the distance to the rim of the target, in voxels"),
    field("train.folds", "", "2 or more, or 1", "number of folds"),
    field("train.splits", "file", "None, or a path", "folds that are given instead, as nnU-Net's splits_final.json"),
    field("train.mirror", "axes", "a list of I, J, K", "test volumes are predicted mirrored along these as well; logits are averaged"),
    field("train.checkpoint", "optimiser steps", "0 or more", "between two checkpoints of a training, what a kill loses at most; 0 for none"),
    field("compare.losses", "", "a list of losses", "that `lossgen compare` trains; those that are typed come behind them"),
    field("compare.seeds", "", "a list of whole numbers, each once", "of weights and patches, a training with each; none for the seed of the run"),
    field("compare.learning_rates", "", "a list of positive numbers, each once", "factors of the learning rate, of which each loss gets the best in each fold, by an inner part of its training cases"),
    field("compare.stratified", "", "true, false", "whether folds resemble each other in labels and foreground"),
];

/// A setting: its place in the document, the value that it has if it is left out, and what it means.
pub(super) struct Setting {
    pub(super) path: String,
    pub(super) default: String,
    pub(super) field: &'static Field,
}

/// The field at a path.
fn find(path: &str) -> Option<&'static Field> {
    let within = |part: &str, sections: &[&str]| {
        sections.iter().find_map(|section| path.strip_prefix(section)).filter(|rest| rest.starts_with(part))
    };
    let place = within("recipe.", &RECIPES).or(within("window.", &WINDOWS)).unwrap_or(path);
    FIELDS.iter().find(|field| field.path == place)
}

/// Every setting, in the order of the document, also those of what is left out by default.
///
/// # Errors
/// If a field is not in the table: an error of the program that a test finds.
pub(super) fn settings() -> Result<Vec<Setting>> {
    let read = |text: &str| notation::from_text::<Config>("defaults", text);
    let (plain, full, files) = (read(PLAIN), read(&FULL.replace("ALL", ALL)), read(FILES));
    let (plain, full, files) = (notation::leaves(&plain?)?, notation::leaves(&full?)?, notation::leaves(&files?)?);
    let folder = files.into_iter().filter(|(path, _)| path == "data");
    let mut found: Vec<(String, String)> = Vec::new();
    for (path, value) in full {
        // A family of augmentation stands before its numbers, as what is not done by default.
        let parent = plain.iter().find(|(parent, _)| path.starts_with(&format!("{parent}.")));
        for (path, value) in parent.cloned().into_iter().chain([(path, value)]) {
            if !found.iter().any(|(known, _)| *known == path) {
                found.push((path, value));
            }
        }
    }
    let place = found.iter().position(|(path, _)| path.starts_with("data.")).unwrap_or(0);
    found.splice(place..place, folder);
    let setting = |(path, written): (String, String)| {
        let default = plain.iter().find(|(known, _)| *known == path).map_or(written, |(_, value)| value.clone());
        let field = find(&path);
        let missing = || crate::fault::Fault::failed(format!("the table of settings lacks `{path}`"));
        field.ok_or_else(missing).map(|field| Setting { path: path.clone(), default, field })
    };
    found.into_iter().map(setting).collect()
}

/// A configuration in which everything is left out that can be, one in which nothing is, and one of volumes in files.
const PLAIN: &str = "(version: 1, seed: 1, data: Phantoms(()))";
const FULL: &str = "(version: 1, seed: 1, data: Phantoms(()), \
    proxy: (recipe: (augment: ALL)), learn: (recipe: (augment: ALL)), train: (recipe: (augment: ALL)))";
const ALL: &str = "(affine: (), elastic: (), noise: (), blur: (), brightness: (), contrast: (), bias_field: (), \
    low_resolution: (), gamma: (), mixup: ())";
const FILES: &str = "(version: 1, seed: 1, data: Decathlon(\"DIR\"))";

#[cfg(test)]
mod tests {
    use super::*;

    /// Adding a field to a configuration without a row here, or a row without a field, breaks this.
    #[test]
    fn every_field_of_a_configuration_is_explained_once() {
        let all = settings().unwrap();
        for (place, field) in FIELDS.iter().enumerate() {
            assert!(
                FIELDS[..place].iter().all(|other| other.path != field.path),
                "`{}` stands there twice",
                field.path
            );
            assert!(!field.range.is_empty() && !field.means.is_empty(), "`{}` is not explained", field.path);
            let used = all.iter().any(|setting| std::ptr::eq(setting.field, field));
            assert!(used, "no configuration has `{}`", field.path);
        }
        for (place, setting) in all.iter().enumerate() {
            assert!(all[..place].iter().all(|other| other.path != setting.path), "`{}` comes twice", setting.path);
        }
        assert!(all.len() > FIELDS.len() + 40, "three recipes have the same fields: {}", all.len());
    }

    #[test]
    fn defaults_are_those_of_the_program() {
        let all = settings().unwrap();
        let default = |path: &str| all.iter().find(|setting| setting.path == path).map(|s| s.default.as_str());
        assert_eq!(default("train.recipe.steps"), Some("1000"));
        assert_eq!(default("proxy.recipe.augment.affine"), Some("None"));
        assert_eq!(default("learn.recipe.augment.affine.scale"), Some("(0.7, 1.4)"));
        assert_eq!(default("proxy.recipe.augment.mirror"), Some("[I, J, K]"));
        assert_eq!(default("data"), Some("Decathlon(\"DIR\")"));
        assert_eq!(default("search.grammar"), Some("\"polarity\""));
    }
}
