//! How much memory this process holds; only Linux tells.

use std::fs;

/// Most that it has held, in MiB.
pub(super) fn peak() -> Option<f64> {
    of("VmHWM:")
}

/// What it holds now, in MiB.
pub(super) fn resident() -> Option<f64> {
    of("VmRSS:")
}

fn of(key: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix("kB")?;
    kibibytes.trim().parse::<f64>().ok().map(|kibibytes| kibibytes / 1024.0)
}
