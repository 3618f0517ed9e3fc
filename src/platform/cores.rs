//! Work on many small things at once, a thread for each core.

use std::{
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// The answers to all `items`, in their order. They are begun in their order too: whoever has work of very different
/// sizes puts the big pieces first.
pub fn map<T: Sync, A: Send>(items: &[T], work: impl Fn(&T) -> A + Sync) -> Vec<A> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    if threads <= 1 {
        return items.iter().map(work).collect();
    }
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(items.len())));
    let (next, all, work) = (&next, &all, &work);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(move || {
                let mut done = vec![];
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    done.push((index, work(item)));
                }
                all.lock().unwrap_or_else(PoisonError::into_inner).extend(done);
            });
        }
    });
    let mut all = std::mem::take(&mut *all.lock().unwrap_or_else(PoisonError::into_inner));
    all.sort_unstable_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_the_questions() {
        let check = |count: u64| {
            let items: Vec<u64> = (0..count).collect();
            let doubled: Vec<u64> = items.iter().map(|it| it * 2).collect();
            assert_eq!(map(&items, |it| it * 2), doubled);
        };
        check(0);
        check(1);
        check(10_000);
    }
}
