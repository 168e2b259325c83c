//! What the program finds on this machine, in words and as values.

use std::path::Path;

use serde_json::{Value, json};

use crate::nn::{self, DeviceChoice, KernelPath, Precision};

/// One thing that is so.
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) says: String,
    pub(super) value: Value,
}

const GIB: f64 = (1_u64 << 30) as f64;

pub(super) fn facts(threads: usize) -> Vec<Fact> {
    vec![program(), processor(threads), memory(), kernels(), gpu(), device(), disk()]
}

fn program() -> Fact {
    let (version, cuda) = (env!("CARGO_PKG_VERSION"), cfg!(feature = "cuda"));
    let built = if cuda { "with the feature `cuda`" } else { "without the feature `cuda`" };
    let says = format!("lossgen {version}, built {built}");
    Fact { name: "program", says, value: json!({"version": version, "cuda": cuda}) }
}

fn processor(threads: usize) -> Fact {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let says = format!("{} ({}), {threads} threads in use of {cores}", model(), std::env::consts::ARCH);
    Fact { name: "processor", says, value: json!({"model": model(), "threads": threads, "cores": cores}) }
}

/// The name of the processor; Linux alone tells it in a file.
fn model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or("of unknown make".to_string(), |(_, name)| name.trim().to_string())
}

fn memory() -> Fact {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let gib = |key: &str| -> Option<f64> {
        let kibibytes = text.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix("kB")?;
        Some(kibibytes.trim().parse::<f64>().ok()? * 1024.0 / GIB)
    };
    let (whole, free) = (gib("MemTotal:"), gib("MemAvailable:"));
    let says = match (whole, free) {
        (Some(whole), Some(free)) => format!("{whole:.1} GiB, {free:.1} GiB of them free"),
        _ => "unknown: this system does not tell it in /proc/meminfo".to_string(),
    };
    Fact { name: "memory", says, value: json!({"gib": whole, "free_gib": free}) }
}

fn kernels() -> Fact {
    let path = nn::kernel_path();
    let half = path.name_at(Precision::Bf16);
    let others: Vec<&str> = KernelPath::CPU
        .into_iter()
        .filter(|other| *other != path && other.is_available())
        .map(KernelPath::name)
        .collect();
    let rounding = if half.ends_with("emulated") { "emulated" } else { "instructions of their own" };
    let says = format!(
        "{} for convolutions ({} are here as well); bfloat16 products: {rounding}",
        path.name(),
        if others.is_empty() { "no others".to_string() } else { others.join(", ") },
    );
    Fact { name: "kernels", says, value: json!({"path": path.name(), "others": others, "bf16": half}) }
}

/// Whether there is a GPU that trainings could use, and what is missing.
fn gpu() -> Fact {
    let found = nn::cuda_devices();
    let driver = Path::new("/proc/driver/nvidia/version").exists();
    let says = match &found {
        Ok(1) => "one CUDA device; driver, NVRTC and headers are here".to_string(),
        Ok(devices) => format!("{devices} CUDA devices; driver, NVRTC and headers are here"),
        Err(why) if cfg!(feature = "cuda") => why.clone(),
        Err(_) if driver => "an NVIDIA driver is here, but this program was built without the feature `cuda`: \
             `cargo build --release --features cuda`"
            .to_string(),
        Err(_) => "no NVIDIA driver, and this program was built without the feature `cuda`".to_string(),
    };
    Fact { name: "gpu", says, value: json!({"devices": found.as_ref().unwrap_or(&0), "why_not": found.as_ref().err()}) }
}

fn device() -> Fact {
    let place = nn::place();
    let (auto, remark) = match DeviceChoice::Auto.resolve() {
        Ok((auto, remark)) => (auto.to_string(), remark),
        Err(fault) => ("none".to_string(), Some(fault.summary().to_string())),
    };
    let why = remark.as_ref().map_or(String::new(), |remark| format!(" ({remark})"));
    let says = format!("trainings run on {place}; `--device auto` is {auto}{why}");
    Fact { name: "device", says, value: json!({"in_use": place.to_string(), "auto": auto, "remark": remark}) }
}

fn disk() -> Fact {
    let here = std::env::current_dir().unwrap_or_default();
    let free = free_bytes(&here).map(|bytes| bytes as f64 / GIB);
    let says = match free {
        Some(free) => format!("{free:.1} GiB free in {}", here.display()),
        None => format!("unknown in {}", here.display()),
    };
    Fact { name: "disk", says, value: json!({"folder": here, "free_gib": free}) }
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail * disk.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}
