//! Masks with the header of their image, in a folder of their own.
//!
//! Guards two rules: files of a person are never changed, and only a wrong header is replaced: a mask of other voxels, or
//! of the same in another order, makes the whole undertaking a fault.

use std::fs;
use std::path::{Path, PathBuf};

use crate::data::layout::Layout;
use crate::data::nifti;
use crate::fault::{Fault, Result};
use crate::volume::relation::Relation;

/// Writes every mask of a dataset to the new folder `out`, under its own name: those with another header than their image
/// get the image's, the others are copied as they are. Returns the former.
///
/// # Errors
/// If a case is incomplete or cannot be read, a mask is on another grid than its image, two masks have the same name,
/// `out` is not empty, or writing fails. Nothing is left behind then.
pub fn copy_geometry(folder: &Path, out: &Path) -> Result<Vec<PathBuf>> {
    let layout = Layout::read(folder)?;
    if out.exists() && fs::read_dir(out).map_err(|error| Fault::io("read", out, &error))?.next().is_some() {
        return Err(Fault::new("folder is not empty")
            .file(out)
            .expected("an empty folder, or none yet")
            .found("a folder with files in it")
            .hint("masks are never overwritten; name a new folder"));
    }
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|error| Fault::io("create", parent, &error))?;
    let draft = tempfile::Builder::new()
        .prefix(".writing-")
        .tempdir_in(parent)
        .map_err(|error| Fault::io("create a temporary folder beside the", out, &error))?;
    let mut mended = Vec::new();
    for entry in &layout.entries {
        let name = entry.label.file_name().unwrap_or_default();
        let (target, image) = (draft.path().join(name), &entry.images[0]);
        if target.exists() {
            return Err(Fault::new("two masks have the same file name")
                .file(&entry.label)
                .expected("names that differ")
                .found(name.display())
                .hint("masks in folders of their own cannot be gathered in one; rename them"));
        }
        let image_grid = nifti::read_grid(image)?;
        match Relation::of(&image_grid, &nifti::read_grid(&entry.label)?) {
            Relation::Same => {
                fs::copy(&entry.label, &target).map_err(|error| Fault::io("copy", &entry.label, &error))?;
            }
            Relation::OtherHeader => {
                nifti::write_label(&target, &nifti::read_label(&entry.label)?, image)?;
                mended.push(out.join(name));
            }
            relation => {
                return Err(Fault::new("mask cannot be given the header of its image")
                    .file(&entry.label)
                    .field(format!("case {}", entry.id))
                    .expected(format!("the voxels of {}", image.display()))
                    .found("a mask on another grid, or with its axes turned")
                    .hint(relation.cure()));
            }
        }
    }
    // An empty folder may stand in the way.
    let _ = fs::remove_dir(out);
    fs::rename(draft.path(), out).map_err(|error| Fault::io("write", out, &error))?;
    readable(out)?;
    Ok(mended)
}

/// Temporary folders are private; results are as readable as any other folder of the person.
fn readable(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
            .map_err(|error| Fault::io("share", folder, &error))?;
    }
    Ok(())
}
