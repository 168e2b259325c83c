//! Asks the CUDA driver how many devices there are, without the tensor library.

use std::ffi::c_int;
use std::path::Path;

use libloading::Library;

const DRIVERS: [&str; 3] = ["libcuda.so.1", "libcuda.so", "nvcuda.dll"];

/// NVRTC compiles the kernels. Its file carries the version of the toolkit.
const COMPILERS: [&str; 6] =
    ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "nvrtc64_130_0.dll", "nvrtc64_120_0.dll", "nvrtc.dll"];

/// What the driver answers if all is well.
const SUCCESS: c_int = 0;

/// How many devices there are, at least one, or why they cannot be used.
pub(super) fn devices() -> Result<usize, String> {
    let driver = load(&DRIVERS).ok_or("no CUDA driver")?;
    let devices = count(&driver)?;
    load(&COMPILERS).ok_or("CUDA driver found, but no NVRTC, which compiles the kernels (part of the CUDA toolkit)")?;
    let places = [std::env::var("CUDA_PATH").ok(), Some("/usr/local/cuda".to_string())];
    if cfg!(unix) && !places.iter().flatten().any(|place| Path::new(place).join("include").is_dir()) {
        return Err("CUDA driver found, but no headers of a CUDA toolkit (CUDA_PATH or /usr/local/cuda)".to_string());
    }
    Ok(devices)
}

fn load(names: &[&str]) -> Option<Library> {
    #[expect(unsafe_code, reason = "loading a library runs its initialisation")]
    // SAFETY: these are NVIDIA's, made to be loaded at any time; the tensor library loads the same ones.
    names.iter().find_map(|name| unsafe { Library::new(name) }.ok())
}

fn count(driver: &Library) -> Result<usize, String> {
    let mut devices: c_int = 0;
    #[expect(unsafe_code, reason = "calls the driver through its C interface")]
    // SAFETY: the signatures are those of the CUDA driver interface, unchanged since its first version: `cuInit(flags)`
    // and `cuDeviceGetCount(int*)`; the pointer is valid for the call.
    let status = unsafe {
        let missing = |_| "CUDA driver without the expected functions".to_string();
        let initialise = driver.get::<unsafe extern "C" fn(u32) -> c_int>(b"cuInit\0").map_err(missing)?;
        let get_count =
            driver.get::<unsafe extern "C" fn(*mut c_int) -> c_int>(b"cuDeviceGetCount\0").map_err(missing)?;
        match initialise(0) {
            SUCCESS => get_count(&raw mut devices),
            failure => failure,
        }
    };
    match (status, usize::try_from(devices)) {
        (SUCCESS, Ok(devices)) if devices > 0 => Ok(devices),
        (SUCCESS, _) => Err("CUDA driver found, but no device".to_string()),
        (code, _) => Err(format!("CUDA driver found, but it answers with error {code}")),
    }
}
