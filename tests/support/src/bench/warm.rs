//! From a decision to start until the agent has accepted the prompt: from the pool, and cold from
//! the image. The runner's own parts do it in this process, on a forge and a scripted model.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use protocol::callback::{Credentials, CredentialsRequest, PoolTarget, WarmSandbox};
use protocol::command::{Model as ModelName, Provider};
use protocol::egress::EgressPolicy;
use protocol::event::Repository;
use protocol::image::Base;
use protocol::signature::Keys;
use protocol::{RunnerId, SandboxId, SessionId};
use sandbox_runner::agent::launch::{self, Place};
use sandbox_runner::agent::{Agent, BoxIo, Dial};
use sandbox_runner::artifact::parcel::Parcels;
use sandbox_runner::config::Upstream;
use sandbox_runner::courier::Courier;
use sandbox_runner::gateway::{
    Access, CredentialSource, CredentialsError, Gateway, GatewayPolicy, Serving,
};
use sandbox_runner::image::{Image, Images, Supplies, System, WORKSPACE};
use sandbox_runner::init::wire::SpawnSpec;
use sandbox_runner::pool::Pool;
use sandbox_runner::sandbox::namespaces::Tool;
use sandbox_runner::sandbox::{Ports, SandboxBackend};
use sandbox_runner::session::Machinery;
use sandbox_runner::session::progress::Drawer;
use sandbox_runner::store::Store;
use sandbox_runner::terminal::Terminals;
use sandbox_runner::worker::Worker;
use tokio::time::{Instant, sleep, timeout};

use super::alone::{Alone, author};
use super::bed::{Bed, new_id, spec};
use super::{Bar, BenchError, LIMIT, Measure, io, milliseconds, rounds, spread, unexpected};
use crate::forge::{Forge, ForgeOptions, ORGANIZATION};
use crate::model::{Model, ModelOptions};
use crate::puppet::now;
use crate::stack::{MODEL_KEY, StackError, environment, repository_root};

const REPOSITORY: &str = "hello";
const BRANCH: &str = "main";
const PROMPT: &str = r#"[[say text="Here I am."]]"#;
/// Nobody is asked with it: there is no Worker.
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ROUNDS: usize = 30;
/// What the round before still does would be counted otherwise.
const SETTLED: Duration = Duration::from_millis(300);

/// The runner's parts with an image, without a Worker.
struct Yard {
    bed: Bed,
    forge: Arc<Forge>,
    model: Model,
    machinery: Arc<Machinery>,
    base: Base,
    image: Image,
    directory: PathBuf,
}

/// Claims from the pool, until the agent has the prompt. The baseline is how long the agent alone,
/// which has long been up, takes to accept one.
pub async fn measure_claim() -> Result<Measure, BenchError> {
    let yard = Yard::open("bench-claim").await?;
    let measured = claims(&yard).await;
    yard.clear().await?;
    let Claims {
        mut claimed,
        mut alone,
    } = measured?;
    let runs = claimed.len();
    Ok(Measure {
        name: "pool_claim",
        value: milliseconds(spread("pool_claim", &mut claimed)),
        unit: "ms",
        baseline: Some(milliseconds(spread("the agent alone", &mut alone))),
        bar: Bar::Value(30.0),
        runs,
    })
}

/// Starts from the image, until the agent has the prompt; the baseline is the agent alone, started in
/// a clone that is there. Both find the agent's database, and nothing else of an agent before.
pub async fn measure_cold() -> Result<Measure, BenchError> {
    let yard = Yard::open("bench-cold").await?;
    let measured = cold_starts(&yard).await;
    yard.clear().await?;
    let [mut ours, mut theirs] = measured?;
    Ok(Measure {
        name: "cold_start",
        value: milliseconds(spread("cold_start", &mut ours)),
        unit: "ms",
        baseline: Some(milliseconds(spread("the agent alone", &mut theirs))),
        bar: Bar::Added(200.0),
        runs: ours.len(),
    })
}

#[derive(Default)]
struct Claims {
    claimed: Vec<Duration>,
    alone: Vec<Duration>,
}

async fn claims(yard: &Yard) -> Result<Claims, BenchError> {
    let alone = yard.alone("alone").await?;
    let pool = Pool::new(Arc::clone(&yard.machinery), 4, None);
    pool.aim(vec![PoolTarget {
        base: yard.base.clone(),
        model: model(),
        size: 1,
    }]);
    let keeping = tokio::spawn(Arc::clone(&pool).run());
    let mut claims = Claims::default();
    let claimed = async {
        for _ in 0..rounds(ROUNDS) {
            claim(yard, &pool, &mut claims).await?;
            sleep(SETTLED).await;
            claims.alone.push(alone.accepts(PROMPT).await?);
        }
        Ok::<_, BenchError>(())
    };
    let claimed = claimed.await;
    keeping.abort();
    // It may be at work on an entry, which the yard's end removes.
    let _ = keeping.await;
    claimed?;
    Ok(claims)
}

async fn claim(yard: &Yard, pool: &Pool, claims: &mut Claims) -> Result<(), BenchError> {
    let warm = ready(pool).await?;
    let claimant = new_id()?;
    sleep(SETTLED).await;

    let began = Instant::now();
    let claimed = pool.claim(&warm.sandbox, &claimant).await?;
    let claimed =
        claimed.ok_or_else(|| BenchError::Unexpected("the pool gave nothing".to_owned()))?;
    let place = claimed.place.id.clone();
    let _serving = yard.serve(claimed.place.ports)?;
    claimed
        .agent
        .prompt(&claimed.conversation, PROMPT, &model(), &author())
        .await?;
    claims.claimed.push(began.elapsed());
    yard.machinery.backend.destroy(&place).await?;
    yard.machinery.store.warm_ended(&place)?;
    Ok(())
}

/// What the pool holds, now or when it does.
async fn ready(pool: &Pool) -> Result<WarmSandbox, BenchError> {
    let announcements = pool.announcements();
    let listed = async {
        loop {
            if let Some(warm) = pool.listed().into_iter().next() {
                return warm;
            }
            announcements.notified().await;
        }
    };
    timeout(LIMIT, listed)
        .await
        .map_err(|_| BenchError::Unexpected("the pool stays empty".to_owned()))
}

async fn cold_starts(yard: &Yard) -> Result<[Vec<Duration>; 2], BenchError> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds(ROUNDS) {
        ours.push(cold_start(yard).await?);
        sleep(SETTLED).await;
        let name = format!("alone-{round}");
        let alone = yard.alone(&name).await?;
        alone.accepts(PROMPT).await?;
        theirs.push(alone.age());
        drop(alone);
        std::fs::remove_dir_all(yard.directory.join(name)).map_err(io("remove a clone"))?;
        sleep(SETTLED).await;
    }
    Ok([ours, theirs])
}

async fn cold_start(yard: &Yard) -> Result<Duration, BenchError> {
    let backend = &yard.machinery.backend;
    let spec = spec(&yard.image.layers)?;
    let began = Instant::now();
    let sandbox = backend.create(&spec).await?;
    let _serving = yard.serve(sandbox.ports)?;
    let begun = async {
        let agent = yard.start_agent(&spec.id).await?;
        let conversation = agent.conversation(spec.id.as_str()).await?;
        let events = agent.events(&conversation).await?;
        Ok::<_, BenchError>((agent, conversation, events))
    };
    let (agent, conversation, _events) = begun.await?;
    agent
        .prompt(&conversation, PROMPT, &model(), &author())
        .await?;
    let took = began.elapsed();
    backend.destroy(&spec.id).await?;
    Ok(took)
}

impl Yard {
    async fn open(name: &str) -> Result<Self, BenchError> {
        let directory = repository_root().join("target/stack").join(name);
        if directory.exists() {
            std::fs::remove_dir_all(&directory).map_err(io("remove an earlier run's files"))?;
        }
        let [source, settings, forge] =
            ["source", "settings", "forge"].map(|name| directory.join(name));
        for path in [&source, &settings, &forge] {
            std::fs::create_dir_all(path).map_err(io("make the folders of a measure"))?;
        }
        std::fs::write(source.join("README.md"), "# hello\n").map_err(io("make a repository"))?;
        launch::write_tools(&settings).map_err(io("write the agent's settings"))?;
        let program = PathBuf::from(environment("OPENCODE_BIN")?);
        let agent_binary = Path::new("/opt/agent").join(program.file_name().unwrap_or_default());
        let agent_binary = agent_binary.to_string_lossy().into_owned();
        let tool = Tool {
            name: "agent".to_owned(),
            sources: vec![settings, program],
        };

        let forge = Arc::new(Forge::start(ForgeOptions::from_environment(forge)?).await?);
        forge
            .create_repository(ORGANIZATION, REPOSITORY, &source)
            .await?;
        let options = ModelOptions {
            port: 0,
            api_key: MODEL_KEY.to_owned(),
        };
        let model = Model::start(options).await.map_err(StackError::Model)?;
        let upstream = Upstream {
            base_url: format!("{}/v1", model.url()),
            key: Some(MODEL_KEY.to_owned()),
        };
        let gateway = Gateway::new(
            forge.url(),
            &upstream,
            &upstream,
            credentials(Arc::clone(&forge)),
        );
        let gateway = Arc::new(gateway.map_err(unexpected)?);
        let keys = Keys::parse(KEY).map_err(unexpected)?;
        let worker = Worker::new("http://127.0.0.1:9", keys).map_err(unexpected)?;

        let bed = Bed::open(name, vec![tool]).await?;
        let backend: Arc<dyn SandboxBackend> = bed.backend.clone();
        let layers = bed.backend.layers().clone();
        let images = Images::new(
            bed.backend.images(),
            Arc::clone(&backend),
            layers.clone(),
            Arc::clone(&gateway),
            None,
            Supplies {
                system: System::read(),
                agent: Some(agent_binary.clone()),
                ..Supplies::default()
            },
        );
        let progress = Drawer::open(bed.state().join("wip")).map_err(unexpected)?;
        let store = Arc::new(Store::open(&bed.state().join("runner.sqlite"))?);
        let courier = Courier::new(Arc::clone(&store), layers.clone(), None);
        let parcels = Parcels::open(bed.state().join("artifacts"), worker.clone());
        let terminals = Terminals::new(Arc::clone(&store), Arc::clone(&backend), worker.clone());
        let machinery = Arc::new(Machinery {
            terminals: Arc::new(terminals),
            parcels: Arc::new(parcels.map_err(unexpected)?),
            runner: RunnerId::from_random([1; 16]),
            progress: Arc::new(progress),
            courier: Arc::new(courier),
            store,
            worker,
            backend,
            layers,
            images: Arc::new(images),
            gateway,
            agent_binary,
            committer: author(),
            turn_limit: Duration::from_secs(3600),
        });
        let base = Base {
            repository: Repository::new(ORGANIZATION, REPOSITORY).map_err(unexpected)?,
            branch: BRANCH.to_owned(),
            environment: None,
        };
        let image = machinery.images.build(&base).await?;
        Ok(Self {
            bed,
            forge,
            model,
            machinery,
            base,
            image,
            directory,
        })
    }

    /// The agent by itself, in a folder of that name.
    async fn alone(&self, name: &str) -> Result<Alone, BenchError> {
        let repository = self.forge.bare_repository(ORGANIZATION, REPOSITORY);
        Alone::start(&self.directory.join(name), &repository, self.model.url()).await
    }

    fn serve(&self, ports: Ports) -> Result<Serving, BenchError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let policy = GatewayPolicy {
            repository: self.base.repository.clone(),
            access: Access::Session {
                session: SessionId::from_random(random),
                branch: "agent/work".to_owned(),
            },
            egress: EgressPolicy::default(),
            spent_microdollars: 0,
        };
        Ok(self.machinery.gateway.serve(policy, ports))
    }

    async fn start_agent(&self, sandbox: &SandboxId) -> Result<Agent, BenchError> {
        let seen = Place::sandbox(&self.machinery.agent_binary, WORKSPACE);
        let launch = launch::launch(&seen, &model());
        let program = SpawnSpec {
            name: "agent".to_owned(),
            argv: launch.argv,
            env: launch.env.into_iter().collect(),
            cwd: Some(seen.state.to_owned()),
            log: Some("/tmp/agent.log".to_owned()),
        };
        self.machinery.backend.spawn(sandbox, &program).await?;
        let (backend, sandbox) = (Arc::clone(&self.machinery.backend), sandbox.clone());
        let dial: Dial = Arc::new(move || {
            let (backend, sandbox) = (Arc::clone(&backend), sandbox.clone());
            Box::pin(async move {
                let stream = backend.dial(&sandbox, launch::PORT).await;
                Ok(Box::new(stream.map_err(std::io::Error::other)?) as BoxIo)
            })
        });
        let agent = Agent::connect(dial, WORKSPACE);
        agent.wait_until_up(Instant::now() + LIMIT).await?;
        Ok(agent)
    }

    async fn clear(self) -> Result<(), BenchError> {
        let Self {
            bed,
            machinery,
            directory,
            forge,
            ..
        } = self;
        drop(machinery);
        drop(forge);
        bed.clear().await?;
        std::fs::remove_dir_all(directory).map_err(io("remove the files of a measure"))
    }
}

fn credentials(forge: Arc<Forge>) -> CredentialSource {
    Arc::new(move |request: CredentialsRequest| {
        let forge = Arc::clone(&forge);
        Box::pin(async move {
            let repositories = [request.repository.name()];
            let allowed = [("contents", "write"), ("metadata", "read")];
            let password = forge
                .installation_token(ORGANIZATION, &repositories, &allowed)
                .await?;
            Ok::<_, CredentialsError>(Credentials {
                username: "x-access-token".to_owned(),
                password,
                expires_at: now().plus(3_600_000),
            })
        })
    })
}

fn model() -> ModelName {
    ModelName {
        provider: Provider::Openai,
        name: "scripted-1".to_owned(),
    }
}
