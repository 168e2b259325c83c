//! Who a parameter is to an optimiser: a number that is drawn when a network is made.
//!
//! The state of an optimiser is kept under these numbers, so a training that is continued needs a network that has not only
//! the weights of the old one, but its numbers.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

use super::UNet3d;

/// The numbers of all parameters, in order.
pub fn identities(network: &UNet3d) -> Vec<u64> {
    let mut reader = Reader(Vec::new());
    network.visit(&mut reader);
    reader.0
}

/// The same network with other numbers; none if there are not as many as parameters.
pub fn with_identities(network: UNet3d, numbers: &[u64]) -> Option<UNet3d> {
    (identities(&network).len() == numbers.len()).then(|| network.map(&mut Writer(numbers.iter())))
}

struct Reader(Vec<u64>);

impl ModuleVisitor for Reader {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.id.val());
    }
}

struct Writer<'a>(std::slice::Iter<'a, u64>);

impl ModuleMapper for Writer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let number = self.0.next().expect("the number of parameters was checked");
        Param::initialized(ParamId::from(*number), param.val())
    }
}
