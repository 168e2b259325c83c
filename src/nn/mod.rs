//! The 3D U-Net and what it runs on. Knows no data, no loss and no search.

mod device;
pub mod formula;
mod gradient;
mod identity;
pub mod kernels;
mod precision;
mod unet3d;
mod weights;

use burn::module::Module;
use burn::tensor::Tensor;

pub use device::{DeviceChoice, Place, cuda_devices, device, place, settle};
pub use gradient::{clip_global_norm, flatten, unflatten};
pub use identity::{identities, with_identities};
pub use kernels::KernelPath;
pub use precision::Precision;
pub use unet3d::{UNet3d, UNet3dConfig};
pub use weights::{Weights, decode, encode};

/// The kernels that run; part of what decides the bits of a result.
pub fn kernel_path() -> KernelPath {
    KernelPath::in_use()
}

/// The network without the record that gradients need.
pub fn inference(network: &UNet3d) -> UNet3d {
    network.clone().valid()
}

/// The values of a tensor, last axis contiguous. Moved out if no other tensor shares them, otherwise copied; what is
/// recorded for a backward pass counts as sharing.
///
/// # Panics
/// If the tensor is not of 32-bit floats, which is the only type this crate makes.
pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("all tensors are of 32-bit floats")
}

#[cfg(test)]
mod tests;
