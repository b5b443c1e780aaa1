//! What both programs do as services: documents for packages.

mod package;

pub use package::Package;
