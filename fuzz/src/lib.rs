//! The bodies of the fuzz targets; the targets themselves are one line each.

pub mod api;
pub mod targets;
