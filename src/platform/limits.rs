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

/// Puts this thread behind everybody who has something to do. On Linux each thread has a priority of its own.
pub fn yield_to_others() {
    // Lower is always allowed.
    let _ = setpriority_process(None, 19);
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
