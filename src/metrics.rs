//! The numbers of a training: stored, read back, and what follows from them.
//!
//! [`store`] keeps one fixed-size [`Record`] a step, so that a curve of a million steps is read without the log it came
//! from. [`events`] reads what the trainer wrote for TensorBoard, where the evaluations are. [`figures`] turns either into
//! what people ask: how it goes, how fast, how long yet. [`GpuHistory`] is what its GPUs did.

mod crc;
mod curve;
pub mod events;
pub mod figures;
mod gpus;
mod protobuf;
mod rate;
mod record;
pub mod store;

pub use curve::{Curve, Part};
pub use events::Scalar;
pub use gpus::{GpuHistory, GpuRecord, GpuSummary, GpuWriter};
pub use rate::Rate;
pub use record::Record;
pub use store::{Reader, StoreError, Writer};
