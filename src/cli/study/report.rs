//! `report.html` of a comparison.

use std::sync::Arc;

use super::{Standing, StudyManifest};
use crate::data::Case;
use crate::fault::Result;
use crate::run::RunDir;

pub(in crate::cli) struct Report;

impl Report {
    pub(in crate::cli) fn new(_: &StudyManifest, _: Option<&[Arc<Case>]>) -> Self {
        Self
    }

    pub(in crate::cli) fn write(&mut self, _: &Standing<'_>, _: &RunDir, _: &mut dyn FnMut(&str)) -> Result<()> {
        Ok(())
    }
}
