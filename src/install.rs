//! Setup: what is missing, and how it gets there.

pub mod torch;
