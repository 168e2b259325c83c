//! A learned loss as text, for manifests that need no other file, and as a safetensors file, for other programs.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::{Learned, Listens, LossNet};
use crate::fault::{Fault, Result};

/// The key of the metadata under which the size stands.
const KEY: &str = "learned_loss";

/// Most units of a hidden layer that are read: a hostile file must not be able to ask for gigabytes.
const MOST_HIDDEN: usize = 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    listens: Listens,
    hidden: usize,
}

impl Learned {
    /// As text without commas, blanks or equals signs: to what it listens, hidden units, weights as hexadecimal 32-bit
    /// floats.
    pub fn text(&self) -> String {
        let Listens { progress, distance } = self.listens;
        let flags = u8::from(progress) + 2 * u8::from(distance);
        let weights = self.net.weights().iter().map(|weight| format!("{:08x}", (*weight as f32).to_bits()));
        format!("{flags}.{}.{}", self.net.hidden(), weights.collect::<String>())
    }

    /// The loss of a [text](Learned::text).
    ///
    /// # Errors
    /// If it is not one.
    pub fn read(text: &str) -> Result<Self> {
        let broken = || {
            Fault::new("not a learned loss")
                .field("net")
                .expected("the text of a learned loss")
                .found(format!("`{}...`", text.chars().take(24).collect::<String>()))
                .hint("write `learned(RUN)` with the directory of a run of `lossgen learn`")
        };
        let mut parts = text.split('.');
        let (Some(flags), Some(hidden), Some(weights), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(broken());
        };
        let flags: u8 = flags.parse().ok().filter(|flags| *flags < 4).ok_or_else(broken)?;
        let hidden: usize =
            hidden.parse().ok().filter(|hidden| (1..=MOST_HIDDEN).contains(hidden)).ok_or_else(broken)?;
        let listens = Listens { progress: flags & 1 == 1, distance: flags & 2 == 2 };
        let word = |at: usize| weights.get(8 * at..8 * at + 8).and_then(|word| u32::from_str_radix(word, 16).ok());
        let weights: Option<Vec<f64>> =
            (0..weights.len().div_ceil(8)).map(|at| word(at).map(|bits| f64::from(f32::from_bits(bits)))).collect();
        let net = weights.and_then(|weights| LossNet::of(listens.features(), hidden, weights));
        Ok(Self { net: net.ok_or_else(broken)?, listens })
    }

    /// The same with weights of 32 bits, as it is written.
    #[must_use]
    pub fn rounded(mut self) -> Self {
        for weight in self.net.weights_mut() {
            *weight = f64::from(*weight as f32);
        }
        self
    }

    /// The bytes of a safetensors file: weights and biases of every layer, the size in the metadata.
    ///
    /// # Errors
    /// If the format cannot hold them.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let fail = |error: safetensors::SafeTensorError| Fault::failed(format!("cannot write weights: {error}"));
        let bytes: Vec<u8> = self.net.weights().iter().flat_map(|weight| (*weight as f32).to_le_bytes()).collect();
        let mut views = Vec::new();
        for (name, shape, start) in self.tensors() {
            let length = 4 * shape.iter().product::<usize>();
            views.push((name, TensorView::new(Dtype::F32, shape, &bytes[4 * start..][..length]).map_err(fail)?));
        }
        let size = Size { listens: self.listens, hidden: self.net.hidden() };
        let size = serde_json::to_string(&size).map_err(|error| Fault::failed(error.to_string()))?;
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), size)]))).map_err(fail)
    }

    /// The loss of a safetensors file.
    ///
    /// # Errors
    /// If the bytes are not such a file, or a tensor is missing or does not fit.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        let broken = |found: String| {
            Fault::new("not a learned loss")
                .expected("a safetensors file of `lossgen learn`")
                .found(found)
                .hint("the file is damaged or of another program; restore it, or learn again")
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| broken(error.to_string()))?;
        let size = metadata.metadata().as_ref().and_then(|map| map.get(KEY));
        let size = size.ok_or_else(|| broken(format!("no metadata `{KEY}`")))?;
        let Size { listens, hidden } = serde_json::from_str(size).map_err(|error| broken(error.to_string()))?;
        if !(1..=MOST_HIDDEN).contains(&hidden) {
            return Err(broken(format!("{hidden} hidden units")));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|error| broken(error.to_string()))?;
        let blank = LossNet::of(listens.features(), hidden, vec![0.0; LossNet::size(listens.features(), hidden)]);
        let mut loss = Self { net: blank.ok_or_else(|| broken("no weights".to_string()))?, listens };
        for (name, shape, start) in loss.tensors() {
            let view = file.tensor(&name).map_err(|_| broken(format!("no tensor `{name}`")))?;
            if view.dtype() != Dtype::F32 || view.shape() != shape {
                return Err(broken(format!("`{name}` of shape {:?}", view.shape())));
            }
            for (weight, bytes) in loss.net.weights_mut()[start..].iter_mut().zip(view.data().chunks_exact(4)) {
                let value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                if !value.is_finite() {
                    return Err(broken(format!("a weight of `{name}` that is not finite")));
                }
                *weight = f64::from(value);
            }
        }
        Ok(loss)
    }

    /// Name, shape and first weight of every tensor.
    fn tensors(&self) -> Vec<(String, Vec<usize>, usize)> {
        let of = |(number, layer): (usize, super::net::Layer)| {
            let (weights, biases) = (vec![layer.outputs, layer.inputs], vec![layer.outputs]);
            let middle = layer.start + layer.inputs * layer.outputs;
            [(format!("{number}.weight"), weights, layer.start), (format!("{number}.bias"), biases, middle)]
        };
        self.net.layers().into_iter().enumerate().flat_map(of).collect()
    }
}
