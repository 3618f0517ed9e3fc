//! `dpgui config schema`: JSON Schema for editors.

use crate::{commands::Context, config::json_schema, output::Mode};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of which file
    #[arg(value_enum, default_value_t = File::Training)]
    file: File,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum File {
    Training,
    Dataset,
}

pub(super) fn run(args: &Args, context: &Context) {
    let output = &context.output;
    let schema = match args.file {
        File::Training => json_schema::training(),
        File::Dataset => json_schema::dataset(),
    };
    if output.mode() == Mode::Json {
        return output.json(&schema);
    }
    // Our own values have string keys, so this cannot fail.
    output.data(serde_json::to_string_pretty(&schema).unwrap_or_default());
    output.note(
        "\nsave it, and name it on the first line of a configuration: `#:schema ./FILE.json` (Even Better TOML, taplo)",
    );
}
