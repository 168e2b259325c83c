//! Weights as values: snapshots in memory, and safetensors files that other tools open.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{UNet3d, UNet3dConfig, floats};
use crate::fault::{Fault, Result};

/// All parameters of a network, apart from any device: cheap to share between trainings that start alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    config: UNet3dConfig,
    tensors: Vec<Named>,
}

#[derive(Debug, Clone, PartialEq)]
struct Named {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Weights {
    /// The weights of a network.
    pub fn of(network: &UNet3d) -> Self {
        let mut reader = Reader::default();
        network.visit(&mut reader);
        Self { config: network.config(), tensors: reader.tensors }
    }

    /// All values, tensor by tensor.
    pub fn values(&self) -> impl Iterator<Item = f32> {
        self.tensors.iter().flat_map(|tensor| tensor.values.iter().copied())
    }

    /// A network with these weights.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape than the network's.
    pub fn network(&self, device: &Device) -> Result<UNet3d> {
        let fresh = self.config.blank(device);
        let expected = Self::of(&fresh);
        for (ours, theirs) in expected.tensors.iter().zip(&self.tensors) {
            if (&ours.name, &ours.shape) != (&theirs.name, &theirs.shape) {
                return Err(Fault::new("weights do not fit the network")
                    .field(&ours.name)
                    .expected(format!("{:?}", ours.shape))
                    .found(format!("{} {:?}", theirs.name, theirs.shape)));
            }
        }
        if expected.tensors.len() != self.tensors.len() {
            return Err(Fault::new("weights do not fit the network")
                .expected(format!("{} tensors", expected.tensors.len()))
                .found(self.tensors.len()));
        }
        Ok(fresh.map(&mut Writer { tensors: self.tensors.iter(), device }))
    }
}

/// The bytes of a safetensors file: all parameters by name, the size of the network in the metadata.
///
/// # Errors
/// If the format cannot hold them.
pub fn encode(network: &UNet3d) -> Result<Vec<u8>> {
    let weights = Weights::of(network);
    let bytes: Vec<Vec<u8>> =
        weights.tensors.iter().map(|t| t.values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let fail = |error: safetensors::SafeTensorError| Fault::failed(format!("cannot write weights: {error}"));
    let views = weights.tensors.iter().zip(&bytes).map(|(tensor, bytes)| {
        Ok((tensor.name.as_str(), TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).map_err(fail)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let size = serde_json::to_string(&weights.config).map_err(|error| Fault::failed(error.to_string()))?;
    let metadata = HashMap::from([("unet3d".to_string(), size)]);
    safetensors::serialize(views, Some(metadata)).map_err(fail)
}

const DAMAGED: &str = "the file is damaged or of another program; restore it, or train again";

/// The network of a safetensors file.
///
/// # Errors
/// If the bytes are not such a file, or a tensor does not fit.
pub fn decode(bytes: &[u8], device: &Device) -> Result<UNet3d> {
    let broken = |error: safetensors::SafeTensorError| {
        Fault::new("not a whole safetensors file").expected("weights as they were written").found(error).hint(DAMAGED)
    };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let size = metadata.metadata().as_ref().and_then(|map| map.get("unet3d"));
    let size = size.ok_or_else(|| {
        Fault::new("weights without the size of their network")
            .field("metadata `unet3d`")
            .expected("the size of a network")
            .found("nothing")
            .hint("these weights are not of this program")
    })?;
    let config: UNet3dConfig = serde_json::from_str(size).map_err(|error| {
        Fault::new("weights with an unreadable size of their network")
            .field("metadata `unet3d`")
            .expected("the size of a network")
            .found(error)
            .hint(DAMAGED)
    })?;
    config.check().map_err(|fault| fault.hint("the size stands in the metadata `unet3d` of the weights"))?;
    let file = SafeTensors::deserialize(bytes).map_err(broken)?;
    // Before a network is made: a few bytes of metadata must not be able to ask for gigabytes.
    let found: usize = file.iter().map(|(_, tensor)| tensor.shape().iter().product::<usize>()).sum();
    if found != config.parameters() {
        return Err(Fault::new("weights do not fit the network")
            .expected(format!("{} parameters", config.parameters()))
            .found(found)
            .hint(DAMAGED));
    }
    let mut tensors = Weights::of(&config.blank(device)).tensors;
    let mut names = file.names();
    names.sort_unstable();
    if let Some(stranger) = names.into_iter().find(|name| tensors.iter().all(|tensor| tensor.name != **name)) {
        return Err(Fault::new("weights with a tensor that the network does not have")
            .field(stranger)
            .expected("the tensors of the network alone")
            .found(format!("`{stranger}`"))
            .hint(DAMAGED));
    }
    for tensor in &mut tensors {
        let view = file.tensor(&tensor.name).map_err(|_| {
            Fault::new("weights lack a tensor")
                .field(&tensor.name)
                .expected(format!("`{}`", tensor.name))
                .found("nothing")
                .hint(DAMAGED)
        })?;
        if view.dtype() != Dtype::F32 {
            return Err(Fault::new("weights of another type")
                .field(&tensor.name)
                .expected("F32")
                .found(format!("{:?}", view.dtype()))
                .hint(DAMAGED));
        }
        tensor.shape = view.shape().to_vec();
        tensor.values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    }
    Weights { config, tensors }.network(device)
}

/// Collects parameters with their path.
#[derive(Default)]
struct Reader {
    path: Vec<String>,
    tensors: Vec<Named>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        self.tensors.push(Named { name: self.path.join("."), shape: tensor.dims().to_vec(), values: floats(tensor) });
    }
}

/// Puts parameters in, in the order in which [`Reader`] took them out.
struct Writer<'a> {
    tensors: std::slice::Iter<'a, Named>,
    device: &'a Device,
}

impl ModuleMapper for Writer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let named = self.tensors.next().expect("the number of tensors was checked");
        let data = TensorData::new(named.values.clone(), named.shape.clone());
        param.map(|old| {
            let tensor = Tensor::from_data(data, self.device);
            if old.is_require_grad() { tensor.require_grad() } else { tensor }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::device;
    use crate::rng::{Purpose, stream};

    fn network(seed: u64) -> UNet3d {
        let config = UNet3dConfig { width: 2, levels: 2, ..UNet3dConfig::default() };
        config.init(&mut stream(seed, Purpose::Weights, 0, 0), &device())
    }

    #[test]
    fn weights_survive_memory_and_file() {
        let network = network(1);
        let weights = Weights::of(&network);
        assert_eq!(Weights::of(&weights.network(&device()).unwrap()), weights);
        let flat = network.config().shaped_for([1.0, 1.0, 4.0], [8; 3]);
        let flat = flat.init(&mut stream(2, Purpose::Weights, 0, 0), &device());
        for network in [network, flat] {
            let back = decode(&encode(&network).unwrap(), &device()).unwrap();
            assert_eq!((Weights::of(&back), back.config()), (Weights::of(&network), network.config()));
        }
    }

    #[test]
    fn names_tell_the_place_and_occur_once() {
        let mut names: Vec<String> = Weights::of(&network(1)).tensors.into_iter().map(|t| t.name).collect();
        assert!(names.contains(&"down.0.first.weight".to_string()), "{names:?}");
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn damaged_files_are_refused() {
        let bytes = encode(&network(1)).unwrap();
        for end in (0..bytes.len()).step_by(7) {
            assert!(decode(&bytes[..end], &device()).is_err(), "{end} bytes");
        }
    }

    /// The file with one piece of its header replaced by another of the same length.
    fn altered(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let at = bytes.windows(from.len()).position(|piece| piece == from.as_bytes()).expect("the header holds it");
        let mut altered = bytes.to_vec();
        altered[at..at + to.len()].copy_from_slice(to.as_bytes());
        altered
    }

    #[test]
    fn files_of_another_network_are_refused_with_the_reason() {
        let bytes = encode(&network(1)).unwrap();
        let reason = |from, to| decode(&altered(&bytes, from, to), &device()).unwrap_err().to_string();
        let width = reason("\\\"width\\\":2", "\\\"width\\\":4");
        assert!(width.contains("parameters") && width.contains(&network(1).num_params().to_string()), "{width}");
        let levels = reason("\\\"levels\\\":2", "\\\"levels\\\":0");
        assert!(levels.contains("levels") && levels.contains("1 to 7"), "{levels}");
        let name = reason("down.0.first.weight", "down.0.third.weight");
        assert!(name.contains("down.0.third.weight"), "{name}");
        let kind = reason("\"F32\"", "\"I32\"");
        assert!(kind.contains("I32"), "{kind}");
        let shape = reason("[2,1,3,3,3]", "[1,2,3,3,3]");
        assert!(shape.contains("[2, 1, 3, 3, 3]") && shape.contains("[1, 2, 3, 3, 3]"), "{shape}");
    }
}
