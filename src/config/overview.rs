//! What a model type can do and what it needs, in a few words each.

use super::schema::{self, ModelType, Required, Section};

/// The submodules that every type needs, and that `dpgui setup` always gets.
const ALWAYS: [&str; 2] = ["ComfyUI", "HunyuanVideo"];

/// The types of adapters, and `full` where the whole model can be trained.
pub fn trains(model: &ModelType) -> Vec<&str> {
    let full = model.full_finetune_failure.is_none().then_some("full");
    model.adapters.iter().map(String::as_str).chain(full).collect()
}

/// Frames per second; `None` if videos are skipped.
pub fn video(model: &ModelType) -> Option<String> {
    model.video.as_ref().map(|video| format!("{} fps", video.frame_rate))
}

/// The most `blocks_to_swap`; `None` if it cannot be used.
pub fn swap(model: &ModelType) -> Option<String> {
    let swap = model.block_swap.as_ref()?;
    let variants = || model.variants.iter().filter_map(|it| it.most_blocks_to_swap);
    Some(match (swap.most, variants().min(), variants().max()) {
        (Some(most), ..) => most.to_string(),
        (None, Some(least), Some(most)) => format!("{least}-{most}"),
        _ => "yes".to_owned(),
    })
}

/// Files, submodules and Python packages.
pub fn needs(model: &ModelType) -> Vec<String> {
    let of = Section::Model(model.name);
    let is_file = |name: &str| model.key(name).is_some_and(|key| key.path.is_some() || key.items.is_some());
    let required = model.keys.iter().filter(|key| key.required == Required::Yes && is_file(&key.name));
    let mut needs: Vec<String> = required.map(|key| key.name.clone()).collect();
    let groups = schema::one_of(of);
    // One key that stands for several others is named once: `diffusers_path or …`.
    let common = groups
        .iter()
        .flat_map(|it| &it.keys)
        .find(|key| groups.len() > 1 && groups.iter().all(|it| it.keys.contains(*key)));
    match common {
        Some(common) => {
            let others = groups.iter().flat_map(|it| &it.keys).filter(|it| *it != common);
            let others: Vec<&str> = others.map(String::as_str).collect();
            needs.push(format!("{common} or ({})", others.join(", ")));
        }
        None => needs.extend(groups.iter().map(|it| it.keys.join(" or "))),
    }
    needs.extend(
        model
            .submodules
            .iter()
            .filter(|it| !ALWAYS.contains(&it.as_str()))
            .map(|it| format!("submodule {it}")),
    );
    // In brackets is why; what is there anyway is not needed.
    let is_there = |it: &&String| it.contains("(in requirements") || it.contains("(optional");
    let missing = model.extra_packages.iter().filter(|it| !is_there(it));
    needs.extend(missing.map(|it| format!("package {}", it.split(" (").next().unwrap_or_default())));
    needs
}
