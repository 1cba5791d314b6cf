//! What tests share: one runtime, and stacks that the first test in need starts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use libtest_mimic::Trial;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use support::client::Client;
use support::demo::{DemoError, LOGIN, Stage};
use support::stack::{ModelChoice, Stack};

use crate::stage::{Outcome, PlayedStack, chain};

pub struct World {
    runtime: Runtime,
    played: OnceCell<PlayedStack>,
    whole: OnceCell<(Stage, Client)>,
}

impl World {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        Self {
            runtime,
            played: OnceCell::new(),
            whole: OnceCell::new(),
        }
    }

    /// The stack without a runner, and the puppet that tests play in its place.
    pub async fn played(&self) -> &PlayedStack {
        self.played.get_or_init(PlayedStack::start).await
    }

    /// The whole stack with the demo's crate on its forge, and Alice.
    pub async fn whole(&self) -> &(Stage, Client) {
        self.whole
            .get_or_init(|| async {
                let start = async {
                    let stack = Stack::start("e2e-whole", ModelChoice::Scripted).await?;
                    let stage = Stage::set(stack).await?;
                    let url = stage.stack.url();
                    let client = Client::sign_in(&url, &stage.stack.forge, LOGIN).await?;
                    Ok::<_, DemoError>((stage, client))
                };
                start
                    .await
                    .unwrap_or_else(|error| panic!("{}", chain(&error)))
            })
            .await
    }

    /// Ends every stack. Statics would leave their processes behind.
    pub fn end(self: Arc<Self>) {
        if let Some(world) = Arc::into_inner(self) {
            let Self {
                runtime,
                played,
                whole,
            } = world;
            let _inside = runtime.enter();
            drop((played, whole));
        }
    }
}

/// Tests of one kind, named after it.
pub struct Group<'a> {
    name: &'static str,
    world: &'a Arc<World>,
    trials: &'a mut Vec<Trial>,
}

type Test<'w> = Pin<Box<dyn Future<Output = Outcome> + Send + 'w>>;

impl<'a> Group<'a> {
    pub fn new(name: &'static str, world: &'a Arc<World>, trials: &'a mut Vec<Trial>) -> Self {
        Self {
            name,
            world,
            trials,
        }
    }

    pub fn test(
        &mut self,
        name: &str,
        test: impl for<'w> Fn(&'w World) -> Test<'w> + Send + 'static,
    ) {
        let world = self.world.clone();
        let trial = Trial::test(format!("{}::{name}", self.name), move || {
            world.runtime.block_on(test(&world)).map_err(|error| {
                let mut text = error.to_string();
                let mut cause = error.source();
                while let Some(error) = cause {
                    text.push_str(&format!(": {error}"));
                    cause = error.source();
                }
                text.into()
            })
        });
        self.trials.push(trial);
    }
}

/// Makes a test of an async function.
#[macro_export]
macro_rules! tests {
    ($group:expr; $($name:ident),+ $(,)?) => {
        $($group.test(stringify!($name), |world| Box::pin($name(world)));)+
    };
}
