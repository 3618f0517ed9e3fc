//! Setup: from what is there to what is wanted, as a plan and then as steps that can be killed at any point.

pub mod archive;
pub mod download;
pub mod error;
pub mod index;
pub mod node;
pub mod pinned;
pub mod plan;
pub mod python;
pub mod receipt;
pub mod step;
pub mod torch;
pub mod uv;

pub use error::InstallError;
