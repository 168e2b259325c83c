//! One thing that is wrong, in the parts of which every message consists.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Training refuses it, or would learn nonsense.
    Unusable,
    /// It may be right; a person should look.
    Warning,
}

/// Something that is wrong with a case, or with the dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The case; none if it concerns the dataset.
    pub case: Option<String>,
    /// The kind, one sentence that is the same for all cases.
    pub what: String,
    /// The file.
    pub file: Option<String>,
    /// Label, slice, channel or header field.
    pub field: Option<String>,
    /// What would be right.
    pub expected: Option<String>,
    /// What is there.
    pub found: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Finding {
    /// What makes a case unusable, from the fault that reading it gave.
    pub(super) fn unusable(case: &str, fault: &Fault) -> Self {
        Self::of(Severity::Unusable, Some(case), fault)
    }

    /// What should be looked at in a case.
    pub(super) fn warning(case: &str, fault: &Fault) -> Self {
        Self::of(Severity::Warning, Some(case), fault)
    }

    /// What should be looked at in the dataset.
    pub(super) fn of_dataset(fault: &Fault) -> Self {
        Self::of(Severity::Warning, None, fault)
    }

    fn of(severity: Severity, case: Option<&str>, fault: &Fault) -> Self {
        let mut parts = fault.parts();
        let mut take = |name: &str| parts.iter().position(|(n, _)| *n == name).map(|place| parts.remove(place).1);
        Self {
            severity,
            case: case.map(String::from),
            what: fault.summary().to_string(),
            file: take("file"),
            field: take("field"),
            expected: take("expected"),
            found: take("found"),
            hint: take("hint"),
        }
    }

    /// The fault that it is where it stands alone.
    pub fn fault(&self) -> Fault {
        let mut fault = Fault::new(&self.what);
        if let Some(file) = &self.file {
            fault = fault.file(file);
        }
        if let Some(field) = &self.field {
            fault = fault.field(field);
        }
        if let Some(expected) = &self.expected {
            fault = fault.expected(expected);
        }
        if let Some(found) = &self.found {
            fault = fault.found(found);
        }
        if let Some(hint) = &self.hint {
            fault = fault.hint(hint);
        }
        match &self.case {
            Some(case) => fault.in_case(case),
            None => fault,
        }
    }

    /// The name of the file alone, which the case's folder makes unique.
    pub fn file_name(&self) -> Option<&str> {
        Path::new(self.file.as_deref()?).file_name()?.to_str()
    }
}
