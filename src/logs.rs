//! A run's log: raw bytes as the trainer wrote them, read by byte offset while they grow.
//!
//! The file holds what two or more processes wrote to one pipe: progress bars redrawn with carriage returns, colours,
//! broken UTF-8, lines damaged by other lines, no newline at the end. Nothing here changes the file. [`Follower`]
//! hands out its bytes, [`Fold`] makes lines of them that are safe to show, [`Mark`] finds what the lines mean, and
//! [`View`] is what a reader sees.

pub mod fold;
pub mod follow;
pub mod mark;
mod render;
pub mod tail;
pub mod view;

pub use fold::{Fold, Line};
pub use follow::Follower;
pub use mark::{Mark, Step};
pub use render::Colours;
pub use view::View;
