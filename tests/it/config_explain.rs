//! `dpgui config models`, `explain` and `schema`.

use serde_json::Value;

use crate::support::sandbox::Sandbox;

#[test]
fn a_key_is_explained_with_its_type_range_and_reader() {
    let sandbox = Sandbox::new();
    let check = |name: &str, expected: &str| {
        let said = sandbox.dpgui(&["config", "explain", name]).ok();
        assert_eq!(said.stdout, expected);
    };
    check(
        "min_t",
        "\
min_t  [model] for wan
    Lowest timestep trained on
    type         float
    default      0.0
    range        at least 0, at most 1
    read at      models/wan/wan.py:360

rules about it
    shift-key-not-read
        flux_shift is not read by lumina_2, hunyuan-video, ltx-video, sdxl, cosmos; shift is not read by ltx-video, \
         sdxl, cosmos; lumina_shift only by lumina_2; min_t and max_t only by wan
    wan-t-range
        0 <= min_t < max_t <= 1 for wan
",
    );
    check(
        "stages-divide-gpus",
        "\
stages-divide-gpus  rule
    The number of GPUs must be a multiple of pipeline_stages
    otherwise    RuntimeError after caching and model loading
    noticed      after caching and model loading
    read at      deepspeed/runtime/pipe/module.py:175-177
    judged by    `dpgui config check`
",
    );
    check(
        "pseudo_huber_c",
        "\
pseudo_huber_c  the trainer does not read this
    instead      huber_delta or smooth_l1_beta
    named in     examples/main_example.toml
",
    );
}

#[test]
fn a_name_that_is_none_is_answered_with_those_like_it() {
    let sandbox = Sandbox::new();
    let said = sandbox.dpgui(&["config", "explain", "frame_bucket"]);
    assert_eq!(said.code, Some(2));
    assert_eq!(
        said.stderr,
        "error: there is no key, model type, optimizer or rule `frame_bucket`\n\n\
         hint: did you mean `frame_buckets`, `frame-bucket-alignment`?\n"
    );
}

#[test]
fn every_model_type_is_listed_with_what_it_needs() {
    let sandbox = Sandbox::new();
    let said = sandbox.dpgui(&["config", "models"]).ok();
    assert_eq!(said.stdout.lines().count(), 26);
    for line in [
        "hidream           HiDream-I1           lora lokr       yes          28    \
         diffusers_path, llama3_path, submodule HiDream, package flash_attn",
        "hunyuan-video     HunyuanVideo         lora lokr       yes   24 fps 36    \
         ckpt_path or (transformer_path, vae_path, llm_path, clip_path)",
        "sdxl              Stable Diffusion XL  lora full                          checkpoint_path",
    ] {
        assert!(said.stdout.lines().any(|it| it == line), "{line}\n{said}");
    }
    let rows = sandbox.dpgui(&["config", "models", "--json"]).ok().events();
    let wan = rows.iter().find(|it| it["type"] == "wan").expect("a row");
    assert_eq!(wan["video"]["frame_rate"], 16);
    assert_eq!(wan["needs"], serde_json::json!(["ckpt_path"]));
}

#[test]
fn the_schema_is_one_json_document() {
    let sandbox = Sandbox::new();
    let said = sandbox.dpgui(&["config", "schema", "dataset"]).ok();
    let schema: Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["directory"]["items"]["required"], serde_json::json!(["path"]));
    let compact = sandbox.dpgui(&["config", "schema", "dataset", "--json"]).ok();
    assert_eq!(compact.stdout.lines().count(), 1);
    assert_eq!(serde_json::from_str::<Value>(&compact.stdout).expect("JSON"), schema);
}
