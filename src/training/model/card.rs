//! `model.ron`: everything about a trained network that its weights do not say.
//!
//! The last line is the digest of all before it. A model decides where an organ is, so a card that was changed by hand or by
//! a broken disk is refused, not believed.

use serde::{Deserialize, Serialize};

use crate::data::augment::Axis;
use crate::data::{LabelMode, Preprocess};
use crate::fault::{Fault, Result};
use crate::formula::eval::Activation;
use crate::nn::UNet3dConfig;
use crate::notation;
use crate::training::Recipe;
use crate::training::infer::Window;

/// The only version of the format so far.
pub const VERSION: u32 = 1;

/// With what the last line begins.
const SEAL: &str = "// blake3 ";

/// Most values of the first level for one patch: 4 GB for each of its dozen tensors.
const MOST_VALUES: f64 = 1e9;

/// What a model is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// Version of the format.
    pub version: u32,
    /// Version of the program that trained it.
    pub lossgen: String,
    /// Shape of the network.
    pub network: UNet3dConfig,
    /// How its outputs become probabilities; with a softmax the first output is that of the background.
    pub activation: Activation,
    /// The channels of an image, in their order.
    pub channels: Vec<Channel>,
    /// Whether the channels it was trained on are files of their own, with a number at the end of their names.
    pub numbered: bool,
    /// The labels of the masks it was trained on, by value.
    pub labels: Vec<Label>,
    /// What is done to an image before the network sees it, and what a class is.
    pub preprocess: Preprocess,
    /// How it sees a volume that is larger than a patch.
    pub window: Window,
    /// Axes along which images are mirrored as well.
    pub mirror: Vec<Axis>,
    /// The loss that trained it.
    pub loss: TrainedWith,
    /// How it was trained.
    pub recipe: Recipe,
    /// On what.
    pub training: TrainedOn,
    /// BLAKE3 of the file of weights.
    pub weights: String,
}

/// A channel of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// What the dataset calls it.
    pub name: String,
}

/// A label of a mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Its value in masks.
    pub value: u8,
    /// What the dataset calls it.
    pub name: String,
}

/// A loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedWith {
    /// As it was typed.
    pub name: String,
    /// The same in full.
    pub text: String,
}

/// Where a network comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedOn {
    /// Name of the dataset.
    pub dataset: String,
    /// Digest of the dataset: files, classes, preprocessing.
    pub digest: String,
    /// Ids of the cases that it saw.
    pub cases: Vec<String>,
    /// Number of the fold, from 1, and of all folds.
    pub fold: (usize, usize),
    /// Seed of weights and patches.
    pub seed: u64,
    /// Kernels and precision that computed it.
    pub kernels: String,
}

impl ModelCard {
    /// The text of the file.
    ///
    /// # Errors
    /// If it cannot be written as RON.
    pub fn text(&self) -> Result<String> {
        let body = notation::to_text(self)?;
        Ok(format!("{body}{SEAL}{}\n", blake3::hash(body.as_bytes()).to_hex()))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// If it was changed or cut off, is of another version, or contradicts itself.
    pub fn read(name: &str, text: &str) -> Result<Self> {
        let body = text.rfind(SEAL).map(|at| text.split_at(at));
        let Some((body, seal)) = body else {
            return Err(changed().expected(format!("a last line that begins with `{SEAL}`")).found("none"));
        };
        let found = blake3::hash(body.as_bytes()).to_hex();
        let expected = seal[SEAL.len()..].trim();
        if expected != found.as_str() {
            return Err(changed().field("blake3").expected(expected).found(found));
        }
        let card: Self = notation::from_text(name, body)?;
        card.check()?;
        Ok(card)
    }

    /// The value that stands in a mask for each class, and its name; in the order of the network's outputs.
    pub fn classes(&self) -> Vec<Label> {
        match (self.preprocess.labels, self.labels.as_slice()) {
            (LabelMode::Foreground, labels) if labels.len() != 1 => {
                vec![Label { value: 1, name: "foreground".to_string() }]
            }
            (_, labels) => labels.to_vec(),
        }
    }

    /// Whether it can be predicted with.
    fn check(&self) -> Result<()> {
        let wrong = |field: &str| Fault::new("model contradicts itself").field(field.to_string());
        if self.version != VERSION {
            return Err(Fault::new("unknown version of a model")
                .field("version")
                .expected(VERSION)
                .found(self.version)
                .hint("use the version of lossgen that made the model, or train it again"));
        }
        self.network.check().map_err(|fault| fault.within("network"))?;
        self.preprocess.validate().map_err(|fault| fault.within("preprocess"))?;
        self.window.check().map_err(|fault| fault.within("window"))?;
        if self.channels.len() != self.network.in_channels {
            return Err(wrong("channels")
                .expected(format!("{}, as the network", self.network.in_channels))
                .found(self.channels.len()));
        }
        if self.labels.is_empty() || self.labels[0].value == 0 || !self.labels.is_sorted_by(|a, b| a.value < b.value) {
            let values: Vec<u8> = self.labels.iter().map(|label| label.value).collect();
            return Err(wrong("labels").expected("values above 0, each once, ascending").found(format!("{values:?}")));
        }
        let outputs = self.classes().len() + usize::from(self.activation == Activation::Softmax);
        if outputs != self.network.out_channels {
            return Err(wrong("network.out_channels")
                .expected(format!("{outputs}, for these labels and this activation"))
                .found(self.network.out_channels));
        }
        if let Window::Sliding { patch, .. } = self.window {
            let values = patch.iter().chain([&self.network.width]).map(|n| *n as f64).product::<f64>();
            if values > MOST_VALUES {
                return Err(wrong("window")
                    .expected(format!("at most {MOST_VALUES:e} values in the first level: voxels times network.width"))
                    .found(format!("a patch of {patch:?} with {} feature maps", self.network.width)));
            }
        }
        Ok(())
    }
}

fn changed() -> Fault {
    Fault::new("model was changed after it was written").hint(
        "the file is damaged or was edited; restore it or train again (overlap and mirroring are options of `predict`)",
    )
}

#[cfg(test)]
pub(in crate::training) mod sample {
    use super::*;

    /// A card of a tiny network.
    pub(in crate::training) fn card() -> ModelCard {
        ModelCard {
            version: VERSION,
            lossgen: "0.1.0".to_string(),
            network: UNet3dConfig { out_channels: 2, width: 2, levels: 2, ..UNet3dConfig::default() },
            activation: Activation::Sigmoid,
            channels: vec![Channel { name: "T2".to_string() }],
            numbered: false,
            labels: [(3, "L1"), (7, "L2")].map(|(value, name)| Label { value, name: name.to_string() }).to_vec(),
            preprocess: Preprocess { labels: LabelMode::Classes, ..Preprocess::default() },
            window: Window::Sliding { patch: [8, 8, 8], overlap: 0.5 },
            mirror: Vec::new(),
            loss: TrainedWith { name: "dice".to_string(), text: "(mean tp)".to_string() },
            recipe: Recipe::default(),
            training: TrainedOn {
                dataset: "Spine".to_string(),
                digest: "00".to_string(),
                cases: vec!["a".to_string()],
                fold: (1, 3),
                seed: 1,
                kernels: "portable".to_string(),
            },
            weights: "00".to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_comes_back_and_every_changed_byte_is_seen() {
        let card = sample::card();
        let text = card.text().unwrap();
        assert_eq!(ModelCard::read("model.ron", &text).unwrap(), card);
        for at in 0..text.len() - 1 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(ModelCard::read("model.ron", &changed).is_err(), "byte {at} of {changed}");
            assert!(ModelCard::read("model.ron", &text[..at]).is_err(), "cut off at {at}");
        }
    }

    #[test]
    fn contradictions_are_named() {
        let fault = |change: fn(&mut ModelCard)| {
            let mut card = sample::card();
            change(&mut card);
            ModelCard::read("model.ron", &card.text().unwrap()).unwrap_err().to_string()
        };
        let labels = |card: &mut ModelCard| card.labels[1].value = 3;
        for (change, parts) in [
            ((|card| card.version = 2) as fn(&mut ModelCard), ["version", "found:    2"]),
            (|card| card.network.levels = 90, ["network.levels", "found:    90"]),
            (|card| card.channels.clear(), ["channels", "found:    0"]),
            (|card| card.labels.clear(), ["labels", "found:    []"]),
            (labels, ["labels", "found:    [3, 3]"]),
            (|card| card.labels[0].value = 0, ["labels", "found:    [0, 7]"]),
            (|card| card.activation = Activation::Softmax, ["network.out_channels", "expected: 3"]),
            (|card| card.preprocess.clip_percentiles = (9.0, 1.0), ["preprocess.clip_percentiles", "(9, 1)"]),
            (|card| card.window = Window::Sliding { patch: [900, 900, 900], overlap: 0.5 }, ["window", "1e9 values"]),
        ] {
            let text = fault(change);
            assert!(parts.iter().all(|part| text.contains(part)), "{parts:?}: {text}");
        }
    }

    #[test]
    fn one_label_keeps_its_value_and_several_merged_are_one() {
        let mut card = sample::card();
        let values = |card: &ModelCard| card.classes().iter().map(|label| label.value).collect::<Vec<_>>();
        assert_eq!(values(&card), [3, 7]);
        card.preprocess.labels = LabelMode::Foreground;
        assert_eq!(values(&card), [1]);
        card.labels.remove(0);
        assert_eq!(values(&card), [7]);
    }
}
