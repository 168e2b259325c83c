//! Where tensors live: the CPU, or a CUDA device if the program was built for it and there is one.
//!
//! The choice is made once, before the first tensor: results of different places differ in their bits and are never
//! mixed, so no run has use for two. The tensor library panics on a thread of its own where a driver is missing; whoever
//! asks for CUDA is therefore answered by a probe of ours.

#[cfg(feature = "cuda")]
mod probe;

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use burn::tensor::Device;

use crate::fault::{Fault, Result};

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The CPU, until a GPU has been seen to be faster: see docs/benchmarks.md.
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

/// Where tensors live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the CPU.
    Cpu,
    /// On the CUDA device of this number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = Fault;

    fn from_str(typed: &str) -> Result<Self> {
        let number = || typed.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        match typed {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => number().map(Self::Cuda).ok_or_else(|| {
                Fault::new("unknown device")
                    .field("--device")
                    .expected("auto, cpu, cuda or cuda:N")
                    .found(format!("`{typed}`"))
                    .hint("leave the option out to compute on the CPU")
            }),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl DeviceChoice {
    /// Where that is on this machine, and what to tell the person about it.
    ///
    /// # Errors
    /// If CUDA was asked for and cannot be had.
    pub fn resolve(self) -> Result<(Place, Option<String>)> {
        match self {
            Self::Cpu => Ok((Place::Cpu, None)),
            Self::Cuda(number) => match cuda_devices() {
                Ok(devices) if number < devices => Ok((Place::Cuda(number), None)),
                Ok(devices) => Err(Fault::new("no such CUDA device")
                    .field("--device")
                    .expected(format!("cuda:0 to cuda:{}", devices - 1))
                    .found(format!("cuda:{number}"))
                    .hint("`nvidia-smi` lists the devices")),
                Err(why) => Err(Fault::new("CUDA cannot be used")
                    .field("--device")
                    .expected("a CUDA device")
                    .found(why)
                    .hint("`--device cpu` computes on the CPU")),
            },
            Self::Auto => {
                // Told only to who built the program for it.
                let remark =
                    "there is a CUDA device; `--device cuda` takes it, and tunes its kernels for many minutes first";
                Ok((Place::Cpu, cuda_devices().is_ok().then(|| remark.to_string())))
            }
        }
    }
}

/// How many CUDA devices there are, at least one.
///
/// # Errors
/// Why there is none that could be used.
pub fn cuda_devices() -> std::result::Result<usize, String> {
    #[cfg(feature = "cuda")]
    return probe::devices();
    #[cfg(not(feature = "cuda"))]
    Err("this program was built without the feature `cuda`".to_string())
}

static PLACE: OnceLock<Place> = OnceLock::new();

/// Decides where tensors live from now on; what was decided first stands.
pub fn settle(place: Place) {
    let _ = PLACE.set(place);
}

/// Where tensors live: on the CPU unless something else was decided.
pub fn place() -> Place {
    *PLACE.get_or_init(undecided)
}

#[cfg(not(test))]
fn undecided() -> Place {
    Place::Cpu
}

/// Unit tests decide nothing: `LOSSGEN_TEST_DEVICE=cuda` runs them on a GPU.
#[cfg(test)]
fn undecided() -> Place {
    let wanted = std::env::var("LOSSGEN_TEST_DEVICE").map_or(DeviceChoice::Cpu, |typed| typed.parse().unwrap());
    wanted.resolve().unwrap().0
}

/// The device of all tensors.
pub fn device() -> Device {
    match place() {
        #[cfg(feature = "cuda")]
        Place::Cuda(number) => Device::cuda(number),
        _ => Device::flex(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_strangers_named() {
        let read = |typed: &str| typed.parse::<DeviceChoice>();
        assert_eq!(read("auto").unwrap(), DeviceChoice::Auto);
        assert_eq!(read("cuda").unwrap(), DeviceChoice::Cuda(0));
        assert_eq!(read("cuda:3").unwrap(), DeviceChoice::Cuda(3));
        for typed in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            assert!(read(typed).unwrap_err().to_string().contains("cuda:N"), "{typed}");
        }
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn without_the_feature_cuda_is_refused_and_auto_is_the_cpu() {
        assert_eq!(DeviceChoice::Auto.resolve().unwrap(), (Place::Cpu, None));
        assert!(DeviceChoice::Cuda(0).resolve().unwrap_err().to_string().contains("without the feature"));
    }
}
