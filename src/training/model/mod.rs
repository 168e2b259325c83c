//! A trained network on disk: a folder with `weights.safetensors` and `model.ron`.
//!
//! `model.ron` is written last, so a folder without it is no model. Reading trusts nothing: the card has a digest of its own
//! and that of the weights, the number of parameters says how long the weights may be, and whatever does not fit is one
//! fault. Models that are used together must agree on everything that decides what a mask means.

mod card;

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use burn::tensor::Device;

pub use card::{Channel, Label, ModelCard, TrainedOn, TrainedWith, VERSION};

use crate::fault::{Fault, Result};
use crate::nn::{self, UNet3d};
use crate::run;

const CARD: &str = "model.ron";
const WEIGHTS: &str = "weights.safetensors";

/// Most bytes of a card: a learned loss and the ids of a hundred thousand cases fit.
const LONGEST_CARD: u64 = 16 << 20;
/// Most bytes of the names and shapes in front of the weights.
const LONGEST_HEADER: u64 = 1 << 20;

/// A network and what is known of it.
pub struct Model {
    /// What is known.
    pub card: ModelCard,
    /// The network, without gradients.
    pub network: UNet3d,
    /// Its folder.
    pub folder: PathBuf,
}

impl Model {
    /// Writes a model into a folder of its own, which is made; what was there before goes.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(folder: &Path, card: ModelCard, network: &UNet3d) -> Result<()> {
        let weights = nn::encode(network)?;
        let card = ModelCard { network: network.config(), weights: digest(&weights), ..card };
        fs::create_dir_all(folder).map_err(|error| Fault::io("create", folder, &error))?;
        run::replace(&folder.join(WEIGHTS), &weights)?;
        run::replace(&folder.join(CARD), card.text()?.as_bytes())
    }

    /// Reads a model.
    ///
    /// # Errors
    /// If the folder is no model, or a file of it is damaged or does not belong to the other.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        let file = folder.join(CARD);
        let bytes = bounded(&file, LONGEST_CARD)?;
        let damaged = |what: &str| Fault::new(what).expected("the card of a model").file(&file);
        let text = String::from_utf8(bytes).map_err(|_| {
            damaged("model is damaged: it is not text")
                .found("bytes that are no text")
                .hint("restore it, or train again")
        })?;
        let card = ModelCard::read(&file.display().to_string(), &text).map_err(|fault| fault.file(&file))?;
        let file = folder.join(WEIGHTS);
        let bytes = bounded(&file, 4 * card.network.parameters() as u64 + LONGEST_HEADER)?;
        if digest(&bytes) != card.weights {
            return Err(Fault::new("weights are not those of the model")
                .file(&file)
                .field("weights")
                .expected(&card.weights)
                .found(digest(&bytes))
                .hint("the file is damaged, or of another model; restore it, or train again"));
        }
        let network = nn::decode(&bytes, device).map_err(|fault| fault.file(&file))?;
        if network.config() != card.network {
            return Err(Fault::new("weights are not those of the model")
                .file(&file)
                .field("network")
                .expected(format!("{:?}", card.network))
                .found(format!("{:?}", network.config()))
                .hint("restore the folder from a copy, or train again"));
        }
        Ok(Self { card, network, folder: folder.to_path_buf() })
    }

    /// Whether a folder looks like a model.
    pub fn is_at(folder: &Path) -> bool {
        folder.join(CARD).is_file()
    }

    /// Refuses another model whose masks would mean something else.
    ///
    /// # Errors
    /// The first thing on which the two differ.
    pub fn agrees(&self, other: &Self) -> Result<()> {
        let (a, b) = (&self.card, &other.card);
        let same = [
            ("network", a.network == b.network, format!("{:?}", a.network), format!("{:?}", b.network)),
            ("activation", a.activation == b.activation, format!("{:?}", a.activation), format!("{:?}", b.activation)),
            ("channels", a.channels == b.channels, format!("{:?}", a.channels), format!("{:?}", b.channels)),
            ("labels", a.labels == b.labels, format!("{:?}", a.labels), format!("{:?}", b.labels)),
            ("preprocess", a.preprocess == b.preprocess, format!("{:?}", a.preprocess), format!("{:?}", b.preprocess)),
            ("window", a.window == b.window, format!("{:?}", a.window), format!("{:?}", b.window)),
        ];
        match same.into_iter().find(|(_, same, ..)| !same) {
            None => Ok(()),
            Some((field, _, ours, theirs)) => Err(Fault::new("models cannot be averaged")
                .file(&other.folder)
                .field(field)
                .expected(format!("{ours}, as {}", self.folder.display()))
                .found(theirs)
                .hint("name one model, or a folder of models of one training")),
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// A file of at most so many bytes: what is longer is not read.
fn bounded(path: &Path, most: u64) -> Result<Vec<u8>> {
    let io = |error: std::io::Error| {
        Fault::io("read", path, &error)
            .hint("a model is a folder with `model.ron` and `weights.safetensors`, as `lossgen train` makes it")
    };
    let file = File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > most {
        return Err(Fault::new("file of a model is longer than it can be")
            .file(path)
            .expected(format!("at most {most} bytes"))
            .found("more")
            .hint("the file is damaged, or of another program"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Weights, device};
    use crate::rng::{Purpose, stream};

    fn saved(seed: u64) -> (tempfile::TempDir, UNet3d) {
        let home = tempfile::tempdir().unwrap();
        let card = card::sample::card();
        let network = card.network.init(&mut stream(seed, Purpose::Weights, 0, 0), &device());
        Model::save(&home.path().join("model"), card, &network).unwrap();
        (home, network)
    }

    #[test]
    fn a_model_comes_back_as_it_was() {
        let (home, network) = saved(1);
        let folder = home.path().join("model");
        let model = Model::load(&folder, &device()).unwrap();
        assert_eq!(Weights::of(&model.network), Weights::of(&network));
        assert_eq!(model.card, ModelCard { weights: model.card.weights.clone(), ..card::sample::card() });
        assert!(Model::is_at(&folder) && !Model::is_at(home.path()));
        assert!(model.agrees(&Model::load(&folder, &device()).unwrap()).is_ok());
    }

    #[test]
    fn damaged_missing_and_foreign_files_are_named() {
        let (home, _) = saved(1);
        let (other, _) = saved(2);
        let folder = home.path().join("model");
        let text = || Model::load(&folder, &device()).err().unwrap().to_string();
        let (weights, card) = (folder.join(WEIGHTS), folder.join(CARD));
        let whole = fs::read(&weights).unwrap();
        for at in [0, 9, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&weights, &damaged).unwrap();
            assert!(text().contains("weights are not those of the model"), "{}", text());
            fs::write(&weights, &whole[..at]).unwrap();
            assert!(text().contains(WEIGHTS), "{}", text());
        }
        fs::copy(other.path().join("model").join(WEIGHTS), &weights).unwrap();
        assert!(text().contains("weights are not those of the model"));
        // A file of many gigabytes that takes no room on the disk.
        File::options().write(true).open(&weights).unwrap().set_len(1 << 36).unwrap();
        assert!(text().contains("longer than it can be"), "{}", text());
        fs::remove_file(&weights).unwrap();
        assert!(text().contains("does not exist"));
        fs::write(&card, [0xff, 0xfe]).unwrap();
        assert!(text().contains("not text"));
        fs::remove_file(&card).unwrap();
        assert!(text().contains(CARD));
    }

    #[test]
    fn models_that_mean_something_else_are_not_averaged() {
        let (home, network) = saved(1);
        let mut card = card::sample::card();
        card.labels[0].value = 2;
        Model::save(&home.path().join("other"), card, &network).unwrap();
        let load = |name: &str| Model::load(&home.path().join(name), &device()).unwrap();
        let text = load("model").agrees(&load("other")).unwrap_err().to_string();
        assert!(text.contains("field:    labels") && text.contains("other"), "{text}");
    }
}
