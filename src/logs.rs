//! A run's log: raw bytes as the trainer wrote them, read by byte offset while they grow.
//!
//! Each [`stream::Stream`] is what one or more processes wrote to one pipe: progress bars redrawn with carriage returns,
//! colours, broken UTF-8, lines damaged by other lines, no newline at the end. Nothing here changes it. [`StreamLog`]
//! hands out its bytes by offset, whatever [`segment`] they are in; [`index`] knows when they came; [`Fold`] makes lines
//! of them that are safe to show; [`Reader`] follows the lines of several streams; [`Mark`] finds what lines mean, and
//! [`view::Show`] is what a reader sees.

pub mod fold;
pub mod index;
pub mod mark;
pub mod pieces;
pub mod reader;
mod render;
pub mod search;
pub mod segment;
pub mod store;
pub mod stream;
pub mod tail;
pub mod view;

pub use fold::{Fold, Line};
pub use mark::{Mark, Step};
pub use reader::{Entry, Item, Reader, Style};
pub use render::Colours;
pub use store::StreamLog;
pub use stream::{Stream, streams};
pub use view::View;
