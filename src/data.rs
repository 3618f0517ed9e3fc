//! What the trainer will do with a dataset, by its own rules, without running it: which files it takes, into which
//! bucket each goes, what is cut off, what rounding to whole batches loses.

mod archive;
pub mod batch;
pub mod buckets;
mod cache;
mod captions;
pub mod cut;
mod findings;
mod listing;
pub mod media;
pub mod model;
mod numbers;
pub mod outlook;
pub mod plan;
pub mod proposals;
pub mod spec;
pub mod survey;
mod thumbnail;

pub use captions::{Beside, beside, in_json as captions_in_json};
pub use findings::{counted, grouped};
pub use survey::{Directory, Drop, Fate, Item, Site, Survey, survey, survey_for};
pub use thumbnail::{NoPicture, Thumbnails};
