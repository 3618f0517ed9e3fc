//! Setup: from what is there to what is wanted, as a plan and then as steps that can be killed at any point.

pub mod archive;
pub mod download;
pub mod error;
pub mod receipt;

pub use error::InstallError;
