//! `dataset.json`, in the words of the Medical Segmentation Decathlon and in those of nnU-Net.
//!
//! The two turn labels round (`"1": "L1"` and `"L1": 1`) and call channels differently (`modality`, `channel_names`).
//! Other entries (licence, reference, ...) are free. What cannot be trained (regions made of several labels, a label to
//! ignore) is refused by name: leaving it out would train another task than the one described.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::fault::{Fault, Result};

/// What is said of a dataset.
pub(super) struct Description {
    /// Its name.
    pub(super) name: Option<String>,
    /// Label values with their names, background left out, by value.
    pub(super) classes: Vec<(u8, String)>,
    /// Names of channels, by number; empty if nothing is said.
    pub(super) channels: Vec<String>,
    /// Whether channels are named as nnU-Net version 2 does, which has a file for each.
    pub(super) numbered: bool,
    /// File names of listed training images.
    pub(super) listed: Vec<String>,
}

#[derive(Deserialize)]
struct Json {
    name: Option<String>,
    labels: BTreeMap<String, Value>,
    #[serde(default)]
    training: Vec<Value>,
    channel_names: Option<BTreeMap<String, Value>>,
    modality: Option<Value>,
    file_ending: Option<String>,
}

impl Description {
    /// Reads `dataset.json`.
    ///
    /// # Errors
    /// If it cannot be read or understood, or describes what cannot be trained.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| {
            Fault::io("read", path, &error).hint(
                "folders with imagesTr and labelsTr need a dataset.json, at least: \
                 {\"name\": \"Spine\", \"labels\": {\"0\": \"background\", \"1\": \"vertebra\"}}",
            )
        })?;
        // Editors of Windows begin a file with a byte order mark, which JSON does not know.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let json: Json = serde_json::from_str(text).map_err(|error| {
            Fault::new("dataset.json cannot be understood").file(path).expected("JSON with `labels`").found(error).hint(
                "it needs at least: {\"name\": \"Spine\", \"labels\": {\"0\": \"background\", \"1\": \"vertebra\"}}",
            )
        })?;
        if let Some(ending) = json.file_ending.as_deref().filter(|ending| !matches!(*ending, ".nii.gz" | ".nii")) {
            return Err(Fault::new("images are of another format")
                .file(path)
                .field("file_ending")
                .expected(".nii.gz or .nii")
                .found(ending)
                .hint("convert images and masks to NIfTI, for example with SimpleITK"));
        }
        let named = |names: &BTreeMap<String, Value>| {
            let mut names: Vec<(usize, String)> = names
                .iter()
                .map(|(number, name)| {
                    let name = name.as_str().map_or_else(|| name.to_string(), String::from);
                    (number.trim().parse().unwrap_or(usize::MAX), name)
                })
                .collect();
            names.sort();
            names.into_iter().map(|(_, name)| name).collect::<Vec<String>>()
        };
        let channels = match (&json.channel_names, &json.modality) {
            (Some(names), _) => named(names),
            (None, Some(Value::Object(names))) => named(&names.clone().into_iter().collect()),
            _ => Vec::new(),
        };
        let image = |listed: &Value| -> Option<String> {
            let path = listed.as_str().or_else(|| listed.get("image")?.as_str())?;
            Some(path.rsplit('/').next().unwrap_or_default().to_string())
        };
        Ok(Self {
            name: json.name,
            classes: classes(&json.labels, path)?,
            channels,
            numbered: json.channel_names.is_some(),
            listed: json.training.iter().filter_map(image).collect(),
        })
    }
}

/// Label values with their names, background left out.
fn classes(labels: &BTreeMap<String, Value>, path: &Path) -> Result<Vec<(u8, String)>> {
    let fault = |summary: &str, found: String| {
        Fault::new(summary)
            .file(path)
            .field("labels")
            .found(found)
            .hint("for example: \"labels\": {\"0\": \"background\", \"1\": \"vertebra\"}")
    };
    let unusable = "dataset.json has labels that cannot be used";
    let mut classes = BTreeMap::new();
    for (key, entry) in labels {
        let found = format!("\"{key}\": {entry}");
        if entry.is_array() {
            return Err(fault("dataset.json has labels that overlap", found)
                .expected("one value for each label")
                .hint("regions made of several labels are not trained; give each label a value of its own"));
        }
        if key == "ignore" {
            return Err(fault("dataset.json has a label to ignore", found)
                .expected("labels that every voxel has")
                .hint("partly annotated masks are not trained; leave the label out and finish or drop these masks"));
        }
        let (value, name) = match entry {
            // nnU-Net version 2: name to value.
            Value::Number(value) => (value.as_u64().and_then(|value| u8::try_from(value).ok()), key.clone()),
            Value::String(name) => (key.trim().parse().ok(), name.clone()),
            _ => (None, String::new()),
        };
        let value = value.ok_or_else(|| fault(unusable, found).expected("values from 0 to 255, each with its name"))?;
        if classes.insert(value, name).is_some() {
            return Err(fault(unusable, format!("value {value} twice")).expected("every value once"));
        }
    }
    classes.remove(&0);
    if classes.is_empty() {
        return Err(fault(unusable, "no foreground".into()).expected("at least one label beside \"0\": \"background\""));
    }
    Ok(classes.into_iter().collect())
}
