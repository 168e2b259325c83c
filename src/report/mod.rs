//! What people compare has a picture: numbers and volumes in, text or bytes out, one format or drawing per file.
//!
//! Nothing is computed here that an argument could rest on, and nothing is read or written.
//!
//! Drawings are SVG over [`svg`]: [`rows`] is the ground of [`boxes`], [`differences`], [`stability`] and [`voxels`].
//! Photographs are pixels over [`raster`]: [`slices`] shows a case, [`overlay`] a prediction on it, [`solid`] both as bodies.
//! [`page`] makes one HTML file of them.

pub mod atlas;
pub mod axis;
pub mod behaviour;
pub mod boxes;
pub mod catalog;
pub mod chart;
pub mod curves;
pub mod differences;
#[cfg(test)]
mod gallery_tests;
pub mod heat;
#[cfg(test)]
mod laws;
pub mod learned;
pub mod legend;
pub mod lineage;
#[cfg(test)]
mod markup;
pub mod overlay;
pub mod page;
pub mod raster;
pub mod rows;
#[cfg(test)]
mod scene;
pub mod significance;
pub mod slices;
pub mod solid;
pub mod stability;
pub mod svg;
pub mod tensorboard;
pub mod trajectory;
pub mod voxels;
