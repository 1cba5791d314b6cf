//! Whole histories of one session: clients, the object, runners, the forge and the network between
//! them, with everything going wrong that can. Messages are lost, delayed, repeated and overtake
//! each other; the object is evicted between any two steps; runners are killed and die, sandboxes
//! are lost. Then the trouble ends, and everything has to come to rest and to make sense.
//!
//! A history follows from its seed alone. `SIMULATE=<seed>` runs one, and prints its log.

mod dice;
mod object;
mod outside;
mod people;
mod reading;
mod reviewers;
mod runner;
mod viewer;

use std::collections::BTreeMap;

use self::dice::Dice;
use self::object::{Object, Told};
use self::people::Ask;
use self::reading::Reading;
use self::reviewers::{Judged, News};
use self::runner::{Runner, World};
use self::viewer::Viewer;
use super::*;

const HISTORIES: u64 = 10_000;

/// Something on its way.
#[derive(Clone)]
enum Message {
    Reports {
        runner: usize,
        batch: Batch,
    },
    Answer {
        runner: usize,
        sandbox: SandboxId,
        answer: Result<u64, Refusal>,
    },
    Ask(Ask),
    News(News),
}

struct Simulation {
    dice: Dice,
    now: Millis,
    object: Object,
    runners: Vec<Runner>,
    /// A sandbox stays where the Fleet placed it.
    placements: BTreeMap<SandboxId, usize>,
    network: Vec<Message>,
    viewers: [Viewer; 2],
    world: World,
    /// Requests that were sent, with their answers as far as these came.
    asked: BTreeMap<u64, (Mode, Option<Result<PromptId, Refusal>>)>,
    /// The forge's pull requests: their branches, and the commit that each was told of last.
    pulls: Vec<(String, String)>,
    /// What people and checks say of them, by their numbers.
    judged: BTreeMap<u64, Judged>,
    forks: Vec<SessionId>,
    /// Whether things still go wrong.
    trouble: bool,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut simulation = Self {
            object: Object::new(wanted(), Millis(0), &mut dice),
            dice,
            now: Millis(0),
            runners: vec![Runner::default(), Runner::default()],
            placements: BTreeMap::new(),
            network: Vec::new(),
            viewers: Default::default(),
            world: World::default(),
            asked: BTreeMap::new(),
            pulls: Vec::new(),
            judged: BTreeMap::new(),
            forks: Vec::new(),
            trouble: true,
        };
        simulation.tell();
        simulation
    }

    /// One thing happens, whatever comes next.
    fn act(&mut self) {
        let wait = [0, 3, 40, 400][self.dice.below(4)];
        self.now = self.now.plus(wait);
        match self.dice.below(42) {
            0..=4 => self.somebody_asks(),
            5..=10 => self.deliver_any(),
            11..=20 => self.work(),
            21..=24 => self.report(),
            25..=27 => self.object.take_due(self.now),
            28..=33 => self.progress_any(),
            34 => {
                if let Some(due) = self.object.next_due() {
                    self.now = self.now.max(due);
                    self.object.take_due(self.now);
                }
            }
            35 => self.connect_or_cut(),
            36 => self.evict(),
            37 | 38 => self.somebody_judges(),
            _ => self.break_something(),
        }
        self.tell();
    }

    /// The network's next doing: deliver, repeat or lose any message.
    fn deliver_any(&mut self) {
        if self.network.is_empty() {
            return;
        }
        let message = self
            .network
            .swap_remove(self.dice.below(self.network.len()));
        if self.trouble {
            if self.dice.once_in(8) {
                return;
            }
            if self.dice.once_in(8) {
                self.network.push(message.clone());
            }
        }
        match message {
            Message::Ask(ask) => self.asked(ask),
            Message::News(news) => self.news(news),
            Message::Reports { runner, batch } => {
                let sandbox = batch.sandbox.clone();
                let epoch = batch.epoch;
                let last = batch.first + batch.reports.len() as u64 - 1;
                let answer = self.take(Input::Batch(batch)).map(|()| {
                    let current = self.object.state.sandbox.as_ref();
                    let current = current.filter(|current| current.epoch == epoch);
                    current.map_or(last, |current| current.received)
                });
                self.network.push(Message::Answer {
                    runner,
                    sandbox,
                    answer,
                });
            }
            Message::Answer {
                runner,
                sandbox,
                answer,
            } => {
                let tenants = &mut self.runners[runner].sandboxes;
                let Some(tenant) = tenants.get_mut(&sandbox) else {
                    return;
                };
                match answer {
                    Ok(received) => tenant.acknowledged = tenant.acknowledged.max(received),
                    Err(Refusal::Gap { received }) => tenant.acknowledged = received,
                    Err(_) => {
                        tenant.gone = true;
                        tenant.acknowledged = tenant.outbox.len() as u64;
                    }
                }
            }
        }
    }

    fn take(&mut self, input: Input) -> Result<(), Refusal> {
        self.object.step(input, None, self.now, &mut self.dice)
    }

    /// A sandbox does something.
    fn work(&mut self) {
        let runner = self.dice.below(self.runners.len());
        let Some(runner) = self.runners.get_mut(runner).filter(|runner| !runner.dead) else {
            return;
        };
        let place = self.dice.below(runner.sandboxes.len());
        if let Some(tenant) = runner.sandboxes.values_mut().nth(place) {
            tenant.work(self.trouble, &mut self.world, &mut self.dice);
        }
    }

    /// A runner sends reports: those that are due, or in trouble some that are not.
    fn report(&mut self) {
        for (number, runner) in self.runners.iter().enumerate() {
            if runner.dead {
                continue;
            }
            for (sandbox, tenant) in &runner.sandboxes {
                if !tenant.is_full() || (self.trouble && self.dice.once_in(3)) {
                    continue;
                }
                let ahead = self.trouble && self.dice.once_in(10);
                let skipped = tenant.acknowledged + u64::from(ahead);
                let reports = tenant.outbox.iter().skip(usize::try_from(skipped).unwrap());
                let reports: Vec<_> = reports.take(1 + self.dice.below(4)).cloned().collect();
                if reports.is_empty() {
                    continue;
                }
                let batch = Batch {
                    sandbox: sandbox.clone(),
                    epoch: tenant.epoch,
                    first: skipped + 1,
                    reports,
                };
                let runner = number;
                self.network.push(Message::Reports { runner, batch });
            }
        }
    }

    /// Any piece of work that was taken goes on: it is tried, or what came of it is written down.
    fn progress_any(&mut self) {
        if self.object.tasks.is_empty() {
            return;
        }
        // Mostly in their order, but there may be two that work at once.
        let place = match self.dice.below(3) {
            0 => self.dice.below(self.object.tasks.len()),
            _ => 0,
        };
        if self.object.tasks[place].outcome.is_some() {
            let task = self.object.tasks.remove(place);
            let before = self.object.state.sandbox.clone();
            let silent = matches!(task.effect, Effect::Expire(Deadline::Silence { .. }));
            self.object.conclude(task, self.now, &mut self.dice);
            if silent && !self.trouble && before != self.object.state.sandbox {
                self.check_silence(&before.expect("somebody was silent"));
            }
        } else {
            let effect = self.object.tasks[place].effect.clone();
            let outcome = self.perform(&effect);
            self.object.tasks[place].outcome = Some(outcome);
        }
    }

    /// Without trouble nobody waits for one that has nothing to say.
    fn check_silence(&self, silent: &Sandbox) {
        let runner = self.placements.get(&silent.id);
        let runner = runner.map(|place| &self.runners[*place]);
        let runner = runner.filter(|runner| !runner.dead);
        let tenant = runner.and_then(|runner| runner.sandboxes.get(&silent.id));
        let alive = tenant.is_some_and(|tenant| !tenant.gone);
        assert!(!alive, "{} was told too little", silent.id);
    }

    fn connect_or_cut(&mut self) {
        let viewer = &mut self.viewers[self.dice.below(2)];
        if viewer.connected {
            viewer.cut();
        } else {
            viewer.connect(&self.object);
        }
    }

    /// Tells those who are there what has been committed.
    fn tell(&mut self) {
        let told: Vec<Told> = std::mem::take(&mut self.object.told);
        for viewer in &mut self.viewers {
            viewer.told(&told);
        }
    }

    fn evict(&mut self) {
        self.object.evict();
        for viewer in &mut self.viewers {
            viewer.cut();
        }
    }

    fn break_something(&mut self) {
        let runner = self.dice.below(self.runners.len());
        match self.dice.below(5) {
            // The process: its sandboxes and what it keeps live on.
            0 => self.network.retain(|message| match message {
                Message::Answer { runner: of, .. } => *of != runner,
                _ => true,
            }),
            // The machine.
            1 if self.dice.once_in(3) => {
                self.runners[runner].dead = true;
                self.runners.push(Runner::default());
            }
            2 | 3 => {
                let tenants = &mut self.runners[runner].sandboxes;
                let place = self.dice.below(tenants.len());
                if let Some(tenant) = tenants.values_mut().nth(place) {
                    tenant.lose();
                }
            }
            _ => {}
        }
    }

    /// Nothing goes wrong any more. Clients repeat what was not answered and resume the queue;
    /// everything runs to its end.
    fn rest(&mut self) {
        self.trouble = false;
        self.evict();
        for (request, (mode, answer)) in &self.asked {
            if answer.is_none() {
                let (request, mode) = (*request, *mode);
                self.network
                    .push(Message::Ask(Ask::Prompt { request, mode }));
            }
        }
        self.tell_news_again();
        for round in 0.. {
            assert!(round < 20_000, "it does not come to rest");
            if self.network.is_empty() {
                self.report();
            }
            if !self.network.is_empty() {
                self.deliver_any();
            } else if !self.object.tasks.is_empty() {
                self.progress_any();
            } else if self.runners.iter().any(Runner::is_busy) {
                self.work();
            } else if self.object.state.paused {
                self.network.push(Message::Ask(Ask::Resume));
            } else if let Some(due) = self.object.next_due() {
                self.now = self.now.max(due);
                self.object.take_due(self.now);
            } else {
                break;
            }
            self.tell();
        }
    }

    fn check(&mut self) {
        let reading = Reading::of(&self.object.log);
        reading.check_rest();
        let state = &self.object.state;
        assert!(state.running.is_none() && state.queue.is_empty() && !state.paused);
        assert!(state.open_parts.is_empty() && self.object.growing.is_empty());
        assert_eq!(state.sandbox, None, "what has nothing to do sleeps");
        for runner in self.runners.iter().filter(|runner| !runner.dead) {
            let left = runner.sandboxes.values().any(|tenant| !tenant.gone);
            assert!(!left, "no sandbox is forgotten");
        }
        for (request, (_, answer)) in &self.asked {
            let answer = answer.as_ref().expect("it was answered in the end");
            let made = self.object.requests.get(request);
            assert_eq!(answer.as_ref().ok(), made);
            assert!(made.is_none_or(|prompt| reading.queued.contains(prompt)));
        }
        let made = self.object.requests.len();
        assert_eq!(reading.queued.len(), made, "each request is one prompt");
        for ((prompt, epoch), times) in &self.world.begun {
            assert_eq!(*times, 1, "{prompt} began twice in {epoch}");
        }
        for (prompt, epochs) in &reading.epochs {
            if reading.outcomes.get(prompt) == Some(&Outcome::Completed) {
                let done = self.world.done.get(prompt).expect("it was done");
                assert_eq!(done.last(), epochs.last(), "done where it ran last");
            }
        }
        let pulls: BTreeMap<_, _> = self.pulls.iter().cloned().collect();
        assert_eq!(pulls, reading.pushed, "every push reached its pull request");
        self.check_judged();
        assert_eq!(reading.forks, self.forks.len(), "each fork is told of once");
        self.object.told.clear();
        for viewer in &mut self.viewers {
            viewer.connect(&self.object);
            viewer.check(&self.object);
        }
    }
}

fn history(seed: u64) -> Simulation {
    let mut simulation = Simulation::new(seed);
    for _ in 0..40 + simulation.dice.below(70) {
        simulation.act();
    }
    simulation.rest();
    simulation
}

/// Names the seed if a check fails on its way.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was the history of SIMULATE={}", self.0);
        }
    }
}

#[test]
fn every_history_comes_to_rest_and_makes_sense() {
    if let Some(seed) = std::env::var("SIMULATE")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        let _named = Named(seed);
        let mut simulation = history(seed);
        for entry in &simulation.object.log {
            println!("{:?}", entry.fact);
        }
        return simulation.check();
    }
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || {
                for seed in (0..HISTORIES).filter(|seed| seed % 2 == half) {
                    let _named = Named(seed);
                    history(seed).check();
                }
            });
        }
    });
}
