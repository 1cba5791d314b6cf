//! Orders: images that the Worker asks for. Each is carried out and reported, and forgotten only
//! when its outcome was taken, so a runner that is killed in between begins it again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use protocol::ImageId;
use protocol::command::{BuildImage, Command};
use protocol::image::ImageOutcome;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::delivery::Delivery;
use super::{ImageError, Log, Made};
use crate::cause;
use crate::pool::Pool;
use crate::session::Machinery;
use crate::store::CommandId;

/// How long a store that fails, such as on a full disk, is left alone.
const RETREAT: Duration = Duration::from_secs(1);

pub(crate) struct Orders {
    pub(crate) machinery: Arc<Machinery>,
    pub(crate) pool: Arc<Pool>,
    /// Wakes when one was recorded.
    pub(crate) recorded: Arc<Notify>,
}

impl Orders {
    /// Never returns; what is under way ends when it is dropped.
    pub(crate) async fn run(self) {
        let mut after = CommandId::default();
        let mut under_way = HashSet::new();
        let mut tasks = JoinSet::new();
        loop {
            let pending = match self.machinery.store.pending_for_runner(after) {
                Ok(pending) => pending,
                Err(error) => {
                    tracing::error!(error = cause::chain(&error), "the store fails");
                    tokio::time::sleep(RETREAT).await;
                    continue;
                }
            };
            for command in pending {
                after = command.id;
                match command.command {
                    // The Worker offers an order again of which it has heard nothing yet.
                    Command::BuildImage(order) if under_way.insert(order.image.clone()) => {
                        let (machinery, pool) =
                            (Arc::clone(&self.machinery), Arc::clone(&self.pool));
                        tasks.spawn(carry_out(machinery, pool, order, command.id));
                    }
                    _ => forget(&self.machinery, command.id),
                }
            }
            tokio::select! {
                () = self.recorded.notified() => {}
                Some(ended) = tasks.join_next() => match ended {
                    Ok(image) => {
                        under_way.remove(&image);
                    }
                    Err(error) => tracing::error!(%error, "an order's task failed"),
                },
            }
        }
    }
}

async fn carry_out(
    machinery: Arc<Machinery>,
    pool: Arc<Pool>,
    order: BuildImage,
    command: CommandId,
) -> ImageId {
    let image = order.image.clone();
    let log = Arc::new(Log::default());
    let mut delivery = Delivery::new(
        &machinery.worker,
        &machinery.runner,
        &order.callback_url,
        &log,
    );
    let making = machinery.images.order(&order, Arc::clone(&log));
    tokio::pin!(making);
    let made = tokio::select! {
        made = &mut making => made,
        // The image is of use to those who start from it here, whoever wanted it first.
        () = delivery.follow() => making.await,
    };
    if let Ok(Made::Ready(_)) = &made {
        pool.image_built();
        pool.announcements().notify_one();
    }
    delivery.finish(&outcome(&order, made)).await;
    forget(&machinery, command);
    image
}

fn outcome(order: &BuildImage, made: Result<Made, ImageError>) -> ImageOutcome {
    let (repository, branch) = (&order.base.repository, &order.base.branch);
    match made {
        Ok(Made::Ready(image)) => {
            let reason = &image.reason;
            tracing::info!(%repository, branch, image = %image.id, reason, "image is new");
            ImageOutcome::Ready(image.built())
        }
        Ok(Made::Unchanged(image)) => {
            tracing::info!(%repository, branch, image = %image.id, "image is up to date");
            ImageOutcome::Unchanged {
                commit: image.commit,
            }
        }
        Err(error) => {
            let message = cause::chain(&error);
            tracing::warn!(%repository, branch, message, "an image was not built");
            ImageOutcome::Failed { message }
        }
    }
}

fn forget(machinery: &Machinery, command: CommandId) {
    if let Err(error) = machinery.store.carried_out(command) {
        tracing::error!(error = cause::chain(&error), "the store fails");
    }
}
