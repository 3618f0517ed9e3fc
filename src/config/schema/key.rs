//! One key of a configuration file: what it may be, what it is for, who says so.

use serde::{Deserialize, Serialize};

use super::{Kind, Section};

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(default)]
    pub required: Required,
    /// What the trainer takes where the key is absent; `None` if it takes nothing.
    pub default: Option<toml::Value>,
    /// Where the key is absent, this one's value counts.
    pub default_from: Option<String>,
    /// The only values, if they are few.
    #[serde(default)]
    pub choices: Vec<toml::Value>,
    /// What is allowed besides the choices.
    pub choices_pattern: Option<String>,
    /// Those of the choices that make sense.
    #[serde(default)]
    pub recommended: Vec<toml::Value>,
    /// The smallest value. Of a list: of each number in it.
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// Every value is greater.
    pub above: Option<f64>,
    pub min_items: Option<usize>,
    pub max_items: Option<usize>,
    pub path: Option<PathKind>,
    /// How the name of the file may end.
    #[serde(default)]
    pub extensions: Vec<String>,
    /// What the tables in this list are.
    pub items: Option<Items>,
    /// The `type` that those tables should have.
    pub items_type: Option<String>,
    /// The model types that read it; empty for all.
    #[serde(default)]
    pub only_for: Vec<String>,
    #[serde(default)]
    pub marks: Vec<Mark>,
    /// What it is for, in a few words.
    pub doc: String,
    /// A trap.
    pub note: Option<String>,
    /// The place in the trainer's source.
    pub read_at: String,
}

impl Key {
    pub fn is(&self, mark: Mark) -> bool {
        self.marks.contains(&mark)
    }
}

/// Whether the key has to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "RequiredSpelling", rename_all = "snake_case")]
pub enum Required {
    #[default]
    No,
    Yes,
    /// It, or another one of each of these [`super::OneOf`] groups.
    OneOf(Vec<String>),
    When(Condition),
}

/// When a key has to be there that may be absent otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Condition {
    #[serde(rename = "enable_wandb")]
    Wandb,
    #[serde(rename = "partition_method==manual")]
    ManualPartition,
    #[serde(rename = "no size_buckets")]
    NoSizeBuckets,
    #[serde(rename = "enable_ar_bucket and no ar_buckets and no size_buckets")]
    RatioRange,
}

impl Condition {
    /// As in "needed …".
    pub const fn text(self) -> &'static str {
        match self {
            Self::Wandb => "with `enable_wandb = true`",
            Self::ManualPartition => "with `partition_method = 'manual'`",
            Self::NoSizeBuckets => "unless there are `size_buckets`",
            Self::RatioRange => {
                "with `enable_ar_bucket = true`, unless there are `ar_buckets` or `size_buckets`"
            }
        }
    }
}

/// What has to be at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    File,
    Folder,
    FileOrFolder,
    /// A folder in the layout of diffusers or transformers, whose loaders also take `OWNER/NAME` on the hub.
    FolderOrHub,
    /// Made when it is not there.
    NewFolder,
}

/// The section whose keys the tables in a list have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Items {
    TextEncoder,
    EvalDataset,
    FuseAdapter,
    Directory,
}

impl Items {
    pub const fn section(self) -> Section<'static> {
        match self {
            Self::TextEncoder => Section::TextEncoder,
            Self::EvalDataset => Section::EvalDataset,
            Self::FuseAdapter => Section::FuseAdapter,
            Self::Directory => Section::Directory,
        }
    }
}

/// What is special about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Not for anybody's eyes.
    Secret,
    Deprecated,
    /// Goes to the optimizer's constructor as it is.
    Passthrough,
    /// May be in a `[[directory]]` too, where it wins.
    PerDirectory,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum RequiredSpelling {
    Flag(bool),
    OneOf { one_of: Vec<String> },
    When { when: Condition },
}

impl From<RequiredSpelling> for Required {
    fn from(spelling: RequiredSpelling) -> Self {
        match spelling {
            RequiredSpelling::Flag(true) => Self::Yes,
            RequiredSpelling::Flag(false) => Self::No,
            RequiredSpelling::OneOf { one_of } => Self::OneOf(one_of),
            RequiredSpelling::When { when } => Self::When(when),
        }
    }
}
