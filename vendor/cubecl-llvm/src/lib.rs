//! The interface of `cubecl-llvm` as far as `cubecl-cuda` names it; see `Cargo.toml` for the reason. Nothing here
//! compiles a kernel: whoever asks gets an error that says so.

use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::prelude::KernelDefinition;
use cubecl_environment::backtrace::BackTrace;
use cubecl_server::compiler::{CompilationError, Compiler};
use cubecl_server::kernel::BufferIOAttr;

/// NVIDIA's intermediate language.
pub mod nvptx {
    /// Its version.
    pub mod ptx_version {
        /// Never made.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct PtxVersion(u32);

        impl PtxVersion {
            /// None is known.
            pub fn for_driver(_driver: i32) -> Option<Self> {
                None
            }
        }

        impl core::fmt::Display for PtxVersion {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "ptx{}", self.0)
            }
        }
    }
}

/// What the compilers of the real crate share.
pub mod shared {
    /// Features that a target lacks.
    pub mod lowered_features {
        /// A kind of GPU.
        pub enum GpuTarget {
            /// NVIDIA.
            Nvptx,
        }

        /// Takes nothing away: NVRTC lacks nothing.
        pub fn restrict_features<T>(_properties: &mut T, _target: GpuTarget) {}
    }
}

/// What the real crate compiles for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlvmTarget {
    /// NVIDIA.
    #[default]
    Nvptx,
}

/// The compiler that is not there.
#[derive(Clone, Debug, Default)]
pub struct PlironCompiler {
    /// What it would compile for.
    pub target: LlvmTarget,
}

/// Its options.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// Architecture of another vendor.
    pub arch: Option<()>,
    /// Architecture.
    pub sm_arch: Option<SmArch>,
    /// Version of the intermediate language.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Constants of a grid.
    pub grid_constants: bool,
    /// Lets the options be completed from their default.
    pub unused: (),
}

/// A compiled kernel; never made.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// Code.
    pub ptx: Vec<core::ffi::c_char>,
    /// Name of the kernel.
    pub entrypoint: String,
    /// The code before compilation.
    pub ir: String,
    /// Bytes of shared memory.
    pub shared_memory_size: usize,
    /// Which buffers are read and written.
    pub io: Vec<BufferIOAttr>,
}

/// What a compilation gives; never made.
#[derive(Clone, Debug)]
pub enum PlironArtifact {
    /// For NVIDIA.
    NvptxCode(NvptxModule),
    /// For others.
    None,
}

impl core::fmt::Display for PlironArtifact {
    fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        Ok(())
    }
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn compile(
        &mut self,
        _: KernelDefinition,
        _: &Self::CompilationOptions,
    ) -> Result<Self::Representation, CompilationError> {
        Err(CompilationError::Generic {
            reason: "built without LLVM: kernels are compiled by NVRTC".into(),
            backtrace: BackTrace::capture(),
        })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}
