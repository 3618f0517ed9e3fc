//! What the environment of the trainer has to hold for this configuration, where it is set up already.

use std::path::PathBuf;

use super::{Finding, Rule, Subject, one};
use crate::{platform::fs, workspace::Workspace};

pub(super) const RULES: &[Rule] = &[
    one(&["flash-attn-needed"], flash_attn_needed),
    one(&["cosmos-transformer-engine"], cosmos_transformer_engine),
    one(&["kahan-needs-old-bitsandbytes"], kahan_needs_old_bitsandbytes),
    one(&["offload-torchao-path"], offload_torchao_path),
];

fn site_packages(s: &Subject) -> Option<PathBuf> {
    Workspace::at(&s.base.root).site_packages()
}

fn flash_attn_needed(s: &Subject) -> Option<Finding> {
    let packages = site_packages(s)?;
    let model = s.model.filter(|it| ["lumina_2", "hunyuan_image", "hidream"].contains(&it.name))?;
    // HiDream takes either (hi_diffusers/models/attention_processor.py:6-9).
    let modules: &[&str] =
        if model.name == "hidream" { &["flash_attn", "flash_attn_interface"] } else { &["flash_attn"] };
    (!modules.iter().any(|it| fs::exists(&packages.join(it)))).then(|| {
        let message =
            format!("the model type `{}` needs the package `flash_attn`, which is not installed", model.name);
        s.error("flash-attn-needed", "model.type", message)
            .fix("install it: `venv/bin/python -m pip install flash-attn --no-build-isolation`")
    })
}

fn cosmos_transformer_engine(s: &Subject) -> Option<Finding> {
    let packages = site_packages(s).filter(|_| s.is(&["cosmos"]))?;
    (!fs::exists(&packages.join("transformer_engine"))).then(|| {
        let message =
            "the model type `cosmos` needs the package `transformer_engine`, which is not installed";
        s.error("cosmos-transformer-engine", "model.type", message)
            .fix("install it: `venv/bin/python -m pip install transformer_engine[pytorch]`")
    })
}

fn is_type(s: &Subject, name: &str) -> bool {
    s.text("optimizer.type").is_some_and(|it| it.eq_ignore_ascii_case(name))
}

fn kahan_needs_old_bitsandbytes(s: &Subject) -> Option<Finding> {
    let workspace = Some(Workspace::at(&s.base.root)).filter(|_| is_type(s, "adamw8bitkahan"))?;
    let version = workspace.package_version("bitsandbytes")?;
    let mut numbers = version.split('.').map(|it| it.parse::<u32>().unwrap_or(0));
    let is_new = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (0, 50);
    is_new.then(|| {
        let message = format!("this optimizer needs bitsandbytes below 0.50; {version} is installed");
        s.error("kahan-needs-old-bitsandbytes", "optimizer.type", message)
            .fix("use `adamw8bit`, or install `bitsandbytes<0.50`")
    })
}

fn offload_torchao_path(s: &Subject) -> Option<Finding> {
    let packages = site_packages(s).filter(|_| is_type(s, "offload"))?;
    let module = packages.join("torchao/prototype/low_bit_optim");
    (!fs::exists(&module) && !fs::exists(&module.with_extension("py"))).then(|| {
        let what = if fs::exists(&packages.join("torchao")) {
            "that is installed no longer has"
        } else {
            "which is not installed, has"
        };
        let message =
            format!("this optimizer needs `torchao.prototype.low_bit_optim`; the torchao {what} it");
        s.error("offload-torchao-path", "optimizer.type", message)
            .fix("use `adamw8bit`, or a torchao that has it")
    })
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::case;
    &[
        case("flash-attn-needed", "model.type = 'lumina_2'", "model.type = 'wan'")
            .files(&[("venv/lib/python3.12/site-packages/a.py", "")]),
        case("cosmos-transformer-engine", "model.type = 'cosmos'", "model.type = 'wan'")
            .files(&[("venv/lib/python3.12/site-packages/a.py", "")]),
        case(
            "kahan-needs-old-bitsandbytes",
            "optimizer.type = 'AdamW8bitKahan'",
            "optimizer.type = 'adamw8bit'",
        )
        .files(&[("venv/lib/python3.12/site-packages/bitsandbytes-0.50.0.dist-info/METADATA", "")]),
        case("offload-torchao-path", "optimizer.type = 'offload'", "optimizer.type = 'adamw'")
            .files(&[("venv/lib/python3.12/site-packages/torchao/__init__.py", "")]),
    ]
};
