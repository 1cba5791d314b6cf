//! Images that a session needs and nobody has ordered: they are made at once, and the Worker is told
//! of them as of any other, so that its registry knows what sandboxes start from.
//!
//! A runner that dies before the Worker was told has an image that only its registration names, until
//! the next order finds it unchanged.

use std::sync::Arc;

use protocol::image::ImageOutcome;
use tokio::sync::oneshot;

use super::delivery::Delivery;
use super::{Image, ImageError, Log, Need};
use crate::cause;
use crate::session::Machinery;

/// The image, and whether it was made for this.
pub(crate) async fn need(machinery: &Machinery, need: Need) -> Result<(Image, bool), ImageError> {
    let (worker, runner) = (machinery.worker.clone(), machinery.runner.clone());
    let images = Arc::clone(&machinery.images);
    let (answer, answered) = oneshot::channel();
    // The making goes on when the session ends, and so does the telling.
    let task = tokio::spawn(async move {
        let log = Arc::new(Log::default());
        let url = worker.address(&format!("/runner/images/{}", need.id));
        let mut delivery = Delivery::new(&worker, &runner, &url, &log).of(&need.base);
        let making = images.need(&need, Arc::clone(&log));
        tokio::pin!(making);
        let made = tokio::select! {
            made = &mut making => made,
            () = async {
                // Somebody else may have made it by then.
                let _ = log.length().wait_for(|length| *length > 0).await;
                delivery.follow().await;
            } => making.await,
        };
        let is_new = matches!(&made, Ok(image) if image.id == need.id);
        let outcome = match &made {
            Ok(image) => ImageOutcome::Ready(image.built()),
            Err(error) => ImageOutcome::Failed {
                message: cause::chain(error),
            },
        };
        let has_begun = *log.length().borrow() > 0;
        let _ = answer.send(made.map(|image| (image, is_new)));
        if has_begun {
            delivery.finish(&outcome).await;
        }
    });
    match answered.await {
        Ok(made) => made,
        // It answers unless it panics, and then it has ended.
        Err(_) => match task.await {
            Err(error) => Err(ImageError::Interrupted(error)),
            Ok(()) => Err(ImageError::Unanswered),
        },
    }
}
