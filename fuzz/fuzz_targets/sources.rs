//! Any text as `dpgui.toml`: an error with a place in it or settings that every later step can live with.
#![no_main]

use std::{fs, path::Path, sync::OnceLock};

use dpgui::{
    error::{Kind, Report},
    platform::{Arch, Env, lock::Lock},
    vendor::sources::Sources,
    workspace::{
        Settings, Workspace,
        remember::{Choices, remember},
    },
};
use libfuzzer_sys::fuzz_target;

static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let dir = DIR.get_or_init(|| tempfile::tempdir().expect("a temp dir"));
    let workspace = Workspace::at(dir.path());
    fs::write(workspace.settings_file(), data).expect("written");
    let settings = match Settings::load(&workspace) {
        Ok(settings) => settings,
        Err(error) => return assert_eq!(error.kind(), Kind::Usage, "{error}"),
    };
    match Sources::load(&settings) {
        Ok(sources) => ask_for_everything(&sources),
        Err(error) => assert_eq!(error.kind(), Kind::Usage, "{error}"),
    }
    let models = ["chroma".to_owned()];
    let choices = Choices {
        torch: Some("cpu"),
        python: Some(Path::new("/python")),
        models: &models,
        submodules: &models,
    };
    fs::create_dir_all(workspace.internal()).expect("a place for the lock");
    let lock = Lock::wait(&workspace.setup_lock()).expect("nobody else is here");
    remember(&workspace, choices, &lock).expect("valid settings take a choice");
    let mut after = Settings::load(&workspace).expect("still valid");
    assert_eq!(after.torch.profile.as_deref(), Some("cpu"));
    assert_eq!(after.python.as_deref(), Some(Path::new("/python")));
    assert!(after.models.contains(&models[0]) && after.submodules.contains(&models[0]));
    // Everything else is as it was.
    after.torch = settings.torch.clone();
    after.python = settings.python.clone();
    after.models.clone_from(&settings.models);
    after.submodules.clone_from(&settings.submodules);
    assert_eq!(after, settings);
    assert_eq!(remember(&workspace, choices, &lock).expect("again"), Vec::<String>::new());
});

fn ask_for_everything(sources: &Sources) {
    for (name, archive) in &sources.archives {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            for place in archive.places(arch, &Env::default()).into_iter().flatten() {
                let _ = place.to_string();
            }
            if let Err(error) = archive.sha256(name, arch) {
                let _ = (error.to_string(), error.hint());
            }
        }
    }
    assert!(sources.repositories_for(&[], &["wan"]).is_ok_and(|found| found.len() >= 3));
}
