//! Where one sandbox's work in progress is and is to be, decided purely.
//!
//! A bundle here is the newest work; the depot is to have it, until the same work is in a better
//! place: at the forge, or in a snapshot that the depot has. Work counts as safe only where the loss
//! of the machine does not reach it. Calls that wrote are known by their numbers.

use protocol::SnapshotId;

/// Where the newest work is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Newest {
    /// What the depot has of it is of no use.
    #[default]
    Elsewhere,
    Bundle,
    /// On its way to the depot. What there is of an older bundle has to stay until then.
    Snapshot(SnapshotId),
}

/// What is to be done next, and for which state of things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Errand {
    /// The newest bundle is to be brought to the depot.
    Put(Task),
    /// This snapshot is to reach the depot, or turn out never to.
    Await(SnapshotId, Task),
    /// What the depot has is to be removed.
    Remove(Task),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Task {
    version: u64,
    covers: u64,
}

#[derive(Debug, Default)]
pub(super) struct Custody {
    newest: Newest,
    /// Counts what becomes of `newest`.
    version: u64,
    /// The version that the depot is at.
    done: u64,
    /// Calls up to this one are part of what is newest.
    covered: u64,
    safe: u64,
}

impl Custody {
    /// Calls up to this one can be lost with nothing but everything.
    pub(super) fn safe(&self) -> u64 {
        self.safe
    }

    /// A bundle was made of all that was written by these calls.
    pub(super) fn bundled(&mut self, upto: u64) {
        self.become_newest(Newest::Bundle);
        self.cover(upto);
    }

    /// These calls wrote nothing that is not in the newest bundle, or in a better place.
    pub(super) fn unchanged(&mut self, upto: u64) {
        self.cover(upto);
        if self.done == self.version {
            self.safe = self.covered;
        }
    }

    /// All that was written by these calls is at the forge; whether that is all that was bundled.
    pub(super) fn pushed(&mut self, upto: u64) -> bool {
        let is_all = self.covered <= upto;
        if is_all {
            self.become_newest(Newest::Elsewhere);
            self.safe = self.covered;
        }
        is_all
    }

    /// All that was bundled is in a snapshot.
    pub(super) fn preserved(&mut self, snapshot: SnapshotId) {
        self.become_newest(Newest::Snapshot(snapshot));
    }

    pub(super) fn next(&self) -> Option<Errand> {
        if self.done == self.version {
            return None;
        }
        let task = Task {
            version: self.version,
            covers: self.covered,
        };
        Some(match &self.newest {
            Newest::Bundle => Errand::Put(task),
            Newest::Snapshot(snapshot) => Errand::Await(snapshot.clone(), task),
            Newest::Elsewhere => Errand::Remove(task),
        })
    }

    /// An errand has succeeded.
    pub(super) fn did(&mut self, errand: &Errand) {
        match errand {
            Errand::Put(task) => {
                self.done = self.done.max(task.version);
                self.settle(*task);
            }
            Errand::Await(_, task) => {
                self.settle(*task);
                if task.version == self.version {
                    self.newest = Newest::Elsewhere;
                }
            }
            Errand::Remove(task) => self.done = self.done.max(task.version),
        }
    }

    fn settle(&mut self, task: Task) {
        let covers = if task.version == self.version {
            self.covered
        } else {
            task.covers
        };
        self.safe = self.safe.max(covers);
    }

    fn become_newest(&mut self, newest: Newest) {
        self.newest = newest;
        self.version += 1;
    }

    fn cover(&mut self, upto: u64) {
        self.covered = self.covered.max(upto);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What happens to a sandbox's work, and to whoever brings it away.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        /// A call writes.
        Write,
        /// A keeping takes all that is written by now, and finds a change or none.
        Keep,
        /// What is written by now is pushed; later that is told.
        Push,
        Pushed,
        Snapshot,
        /// A snapshot that was made reaches the depot.
        Publish,
        /// The next errand is begun, unless one is under way.
        Begin,
        /// The one that is under way succeeds, or fails.
        Succeed,
        Fail,
    }

    /// What is really where: the number of the newest call whose work is there.
    #[derive(Debug, Default)]
    struct World {
        custody: Custody,
        written: u64,
        /// The newest bundle here, if there is one.
        bundle: Option<u64>,
        /// What the last keeping recorded, which the next one compares with.
        recorded: Option<u64>,
        depot: Option<u64>,
        forge: u64,
        snapshots: Vec<(SnapshotId, u64)>,
        published: u64,
        /// What is under way, and the file that it reads.
        under_way: Option<(Errand, Option<u64>)>,
    }

    impl World {
        fn apply(&mut self, event: Event) {
            match event {
                Event::Write => self.written += 1,
                Event::Keep if self.recorded == Some(self.written) => {
                    self.custody.unchanged(self.written);
                }
                Event::Keep => {
                    self.bundle = Some(self.written);
                    self.recorded = self.bundle;
                    self.custody.bundled(self.written);
                }
                Event::Push => self.forge = self.written,
                Event::Pushed => {
                    if self.custody.pushed(self.forge) {
                        (self.bundle, self.recorded) = (None, None);
                    }
                }
                Event::Snapshot => {
                    let name = u8::try_from(self.snapshots.len()).unwrap();
                    let id = SnapshotId::from_random([name; 16]);
                    self.snapshots.push((id.clone(), self.written));
                    (self.bundle, self.recorded) = (None, None);
                    self.custody.preserved(id);
                }
                Event::Publish => {
                    let newest = self.snapshots.last().map(|(_, covers)| *covers);
                    self.published = self.published.max(newest.unwrap_or_default());
                }
                Event::Begin if self.under_way.is_none() => {
                    self.under_way = self.custody.next().map(|errand| (errand, self.bundle));
                }
                Event::Succeed => self.succeed(),
                Event::Fail => self.under_way = None,
                Event::Begin => {}
            }
        }

        fn succeed(&mut self) {
            let Some((errand, file)) = self.under_way.take() else {
                return;
            };
            match &errand {
                Errand::Put(_) => {
                    // What was dropped meanwhile is not there to be put.
                    let Some(file) = file else { return };
                    self.depot = Some(file);
                }
                Errand::Await(id, _) => {
                    let of = self.snapshots.iter().find(|(one, _)| one == id);
                    let covers = of.map(|(_, covers)| *covers).unwrap();
                    if self.published < covers {
                        self.under_way = Some((errand, file));
                        return;
                    }
                }
                Errand::Remove(_) => self.depot = None,
            }
            self.custody.did(&errand);
        }

        /// What is left when the machine is lost now.
        fn left(&self) -> u64 {
            let depot = self.depot.unwrap_or_default();
            depot.max(self.forge).max(self.published)
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => Just(Event::Write),
            3 => Just(Event::Keep),
            1 => Just(Event::Push),
            1 => Just(Event::Pushed),
            1 => Just(Event::Snapshot),
            1 => Just(Event::Publish),
            4 => Just(Event::Begin),
            4 => Just(Event::Succeed),
            1 => Just(Event::Fail),
        ]
    }

    proptest! {
        #[test]
        fn what_is_called_safe_is_left_whenever_the_machine_is_lost(
            events in prop::collection::vec(event(), 0..200),
        ) {
            let mut world = World::default();
            for event in events {
                world.apply(event);
                prop_assert!(world.custody.safe() <= world.left(), "{event:?} {world:?}");
            }
        }

        #[test]
        fn all_that_was_kept_is_safe_once_nothing_fails(
            events in prop::collection::vec(event(), 0..200),
        ) {
            let mut world = World::default();
            for event in events {
                world.apply(event);
            }
            world.apply(Event::Keep);
            world.apply(Event::Publish);
            world.apply(Event::Fail);
            for _ in 0..3 {
                world.apply(Event::Begin);
                world.apply(Event::Succeed);
            }
            prop_assert_eq!(world.custody.safe(), world.written);
            prop_assert_eq!(world.custody.next(), None);
        }
    }
}
