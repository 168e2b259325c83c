//! Where compiled CUDA kernels are kept, and which of several was the fastest.

use cubecl_runtime::config::cache::CacheConfig;
use cubecl_runtime::config::{CubeClRuntimeConfig, RuntimeConfig};

/// Keeps them in the cache of the person, for later processes; the tensor library would keep timings beside the nearest
/// `Cargo.toml` and compile anew each time. Its environment variables are heard, and a file of settings is not: a run is
/// described by its manifest.
pub(super) fn keep() {
    let mut config = CubeClRuntimeConfig::default();
    config.compilation.cache = true;
    config.environment.path = CacheConfig::Global;
    // Nothing has asked for a setting before a device was decided on; if something has, its answer stands.
    let _ = CubeClRuntimeConfig::try_set(config.override_from_env());
}
