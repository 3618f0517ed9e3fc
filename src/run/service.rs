//! After a reboot: a unit of the user's systemd that goes on with what was cut off.

use std::path::{Path, PathBuf};

use crate::{
    platform::{
        Host,
        digest::Sha256,
        fs,
        process::{Captured, CommandSpec},
    },
    workspace::Workspace,
};

use super::RunError;

/// The user's manager answers at once or not at all.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// The unit of one workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub file: PathBuf,
}

impl Service {
    /// # Errors
    /// When nobody knows where the user's units are.
    pub fn of(host: &Host, workspace: &Workspace) -> Result<Self, RunError> {
        let home = host.env.existing_home().map(|home| home.join(".config"));
        let config = host.env.text("XDG_CONFIG_HOME").map(PathBuf::from).or(home).ok_or(RunError::NoHome)?;
        let place = fs::real_path(workspace.root());
        let name =
            format!("dpgui-{}.service", &Sha256::of(place.to_string_lossy().as_bytes()).to_string()[..12]);
        Ok(Self { file: config.join("systemd/user").join(&name), name })
    }

    pub fn is_installed(&self) -> bool {
        fs::is_file(&self.file)
    }

    /// Writes the unit and has it started at every boot.
    pub fn install(&self, host: &Host, workspace: &Workspace) -> Result<(), RunError> {
        // Where nobody answers, not even a folder is made.
        systemctl(host, &["show-environment"])?;
        fs::create_dir_all(self.file.parent().unwrap_or(Path::new("/")))?;
        fs::write_atomic(&self.file, unit(&host.program, &fs::real_path(workspace.root())))?;
        let enabled =
            systemctl(host, &["daemon-reload"]).and_then(|()| systemctl(host, &["enable", &self.name]));
        enabled.inspect_err(|_| {
            // A unit that nobody starts would only look like a service.
            let _ = fs::remove_tree(&self.file);
        })
    }

    pub fn remove(&self, host: &Host) -> Result<(), RunError> {
        let disabled = systemctl(host, &["disable", &self.name]);
        fs::remove_tree(&self.file)?;
        disabled.and_then(|()| systemctl(host, &["daemon-reload"]))
    }
}

/// The runs that it starts are not its own: `KillMode=process` leaves them alone when it stops.
fn unit(program: &Path, workspace: &Path) -> String {
    format!(
        "[Unit]\n\
         Description=dpgui: go on with the trainings of {workspace} that a reboot cut off\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         KillMode=process\n\
         ExecStart={program} -C {quoted} resume --all\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n",
        workspace = workspace.display().to_string().replace('%', "%%"),
        program = quoted(program),
        quoted = quoted(workspace),
    )
}

/// As `systemd.service(5)` reads a command line: in double quotes, with `%` and `$` doubled.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('%', "%%").replace('$', "$$"))
}

fn systemctl(host: &Host, args: &[&str]) -> Result<(), RunError> {
    let command =
        CommandSpec::new("systemctl", &host.env, Path::new("/")).arg("--user").args(args.iter().copied());
    match command.capture(PATIENCE) {
        Ok(said) if said.success() => Ok(()),
        said => Err(RunError::NoUserManager {
            said: said.as_ref().map_or_else(ToString::to_string, Captured::tail),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_names_program_and_workspace_as_systemd_reads_them() {
        insta::assert_snapshot!(unit(Path::new("/opt/dpgui"), Path::new("/home/me/my 100% \"work\"")), @r#"
        [Unit]
        Description=dpgui: go on with the trainings of /home/me/my 100%% "work" that a reboot cut off

        [Service]
        Type=oneshot
        RemainAfterExit=yes
        KillMode=process
        ExecStart="/opt/dpgui" -C "/home/me/my 100%% \"work\"" resume --all

        [Install]
        WantedBy=default.target
        "#);
    }
}
