//! What a machine sees when it is asked, before a run begins, whether it could do its part: it goes as far as a start does,
//! and starts nothing.

use std::time::Duration;

use crate::{
    config::TrainConfig,
    error::Error,
    platform::{
        clock, fs, gpu,
        meeting::{self, Meeting},
    },
};

use super::{
    super::{
        RunError,
        devices::Devices,
        lease::Claim,
        queue::Queue,
        start::{self, Site},
        strangers::{self, Stranger},
    },
    preflight::{answer_of, digest},
    talk::{Answer, Look},
};

/// For a connection that nothing keeps from being made.
const REACH: Duration = Duration::from_secs(5);

/// All of it, and what has to be kept until the head hangs up.
pub(super) fn answer(site: Site<'_>, look: &Look) -> (Answer, Option<Meeting>) {
    let part = &look.invitation.part;
    let (refused, warnings) = match rehearse(site, look) {
        Ok(warnings) => (None, warnings),
        Err(error) => {
            let error = Error::from(error);
            (Some((error.kind(), error.messages().join(": "), error.hint().map(str::to_owned))), vec![])
        }
    };
    // What was unpacked to be looked at is nobody's.
    let _ = fs::remove_tree(&look.folder);
    let sees_output = fs::exists(&look.output_dir.join(&look.token));
    if sees_output {
        // Whether that could be done is seen from the head.
        let _ = fs::write_atomic(&look.output_dir.join(answer_of(&look.token, part.own)), "");
    }
    let is_own = meeting::is_loopback(part.master()) && !meeting::is_loopback(part.own_node().address());
    let misses_head = if is_own {
        Some("by this name every machine knows itself".to_owned())
    } else {
        meeting::reach(part.master(), look.port, REACH).err().map(|cause| cause.to_string())
    };
    let meeting = Meeting::anywhere().ok();
    let address = site.host.env.text("SSH_CONNECTION").and_then(meeting::own_address);
    let listens_at = meeting.as_ref().and_then(|it| it.port().ok());
    let answer = Answer {
        lock: digest(&site.workspace.lock_file()),
        trainer: digest(&site.settings.trainer_script(site.workspace)),
        refused,
        warnings,
        sees_output,
        misses_head,
        listens: address.map(|it| it.to_string()).zip(listens_at),
        time: clock::now(),
    };
    (answer, meeting)
}

/// A start without its end.
fn rehearse(site: Site<'_>, look: &Look) -> Result<Vec<String>, RunError> {
    let Site { host, workspace, settings, .. } = site;
    start::check_setup(workspace, &settings.trainer_script(workspace))?;
    let invitation = &look.invitation;
    let config = TrainConfig::load(&invitation.unpack(&look.folder)?, workspace, &host.env)?;
    let nvidia = gpu::detect(host);
    let found = nvidia.as_ref().map_or(&[][..], |it| &it.gpus);
    let devices = Devices::for_slots(&config.training, invitation.part.own_node().slots, found);
    // What may be wrong with the configuration is said at the head as well.
    let _ = start::check_config(&config, Some(invitation.part.ranks()), &invitation.args)?;
    let devices = devices?;
    let (claim, elsewhere) = Claim::new(site, &devices, nvidia.as_ref(), invitation.share)?;
    let queue = Queue::load(workspace)?;
    let free = queue.take(&claim, invitation.share)?;
    drop(free.map_err(|busy| busy.seen(&claim, nvidia.as_ref(), &queue, true))?);
    let strangers = strangers::on(host, &devices);
    Ok(elsewhere.into_iter().chain(strangers.iter().map(Stranger::sentence)).collect())
}
