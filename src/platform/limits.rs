//! What the kernel lets this process, and all that it starts, have at most.

use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process};

/// A limit of the shell: `soft` holds, and may be raised up to `hard`. `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

/// Files and connections open at the same time: `ulimit -n`.
pub fn open_files() -> Limit {
    limit(Resource::Nofile)
}

/// Bytes that may be kept from being swapped: `ulimit -l`, which counts in KiB.
pub fn locked_memory() -> Limit {
    limit(Resource::Memlock)
}

/// How far a thread stands back; on Linux each has a priority of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Behind whoever trains, by a factor of ten, and still quick to answer.
    AfterTraining = 10,
    /// Behind everybody who has something to do.
    Last = 19,
}

/// Has this thread, and those that it starts, stand back.
pub fn stand_back(to: Priority) {
    // Lower is always allowed.
    let _ = setpriority_process(None, to as i32);
}

fn limit(resource: Resource) -> Limit {
    let Rlimit { current: soft, maximum: hard } = getrlimit(resource);
    Limit { soft, hard }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_holds_is_not_above_the_one_it_may_be_raised_to() {
        let Limit { soft, hard } = open_files();
        assert!(soft.is_some_and(|it| it > 0), "a process without files does not run");
        assert!(hard.is_none() || soft <= hard);
    }
}
