//! Images that other runners have made: the newest of each base is in the depot, under a name that is
//! made of the base. A runner without an image of it begins with that one instead of a clone.

use std::sync::Arc;

use protocol::image::Base;

use super::ground::sha256;
use super::{Image, ImageError, Workshop};
use crate::cause;
use crate::layer::depot::{Depot, DepotError};

impl Workshop {
    /// Brings an image to the depot, while whoever asked for it goes on with it.
    pub(super) fn share(&self, image: &Image) {
        let Some(depot) = self.depot.clone() else {
            return;
        };
        let (layers, image) = (self.layers.clone(), image.clone());
        tokio::spawn(async move {
            let shared = async {
                let mut manifest = depot.export(&layers, &image.layers).await?;
                // Strings and numbers: there is nothing that could not be written.
                manifest.about = serde_json::to_value(&image).unwrap_or_default();
                depot.publish(&name(&image.base), &manifest).await
            };
            if let Err(error) = shared.await {
                let error = cause::chain(&error);
                tracing::warn!(image = %image.id, error, "an image is not in the depot");
            }
        });
    }

    /// The newest image of a base in the depot, if it is for machines like this one. It is on this
    /// runner's shelf then.
    pub(super) async fn fetch(&self, base: &Base) -> Result<Option<Image>, ImageError> {
        let Some(depot) = &self.depot else {
            return Ok(None);
        };
        match self.import(depot, base).await {
            Ok(Some(image)) => {
                self.shelf.put(&image)?;
                Ok(Some(image))
            }
            Ok(None) => Ok(None),
            // It can be made here.
            Err(error) => {
                let error = cause::chain(&error);
                tracing::warn!(error, "an image could not be fetched from the depot");
                Ok(None)
            }
        }
    }

    async fn import(&self, depot: &Arc<Depot>, base: &Base) -> Result<Option<Image>, DepotError> {
        let Some(manifest) = depot.manifest(&name(base)).await? else {
            return Ok(None);
        };
        let Ok(image) = serde_json::from_value::<Image>(manifest.about.clone()) else {
            return Ok(None);
        };
        let layers = manifest.layers.iter().map(|entry| &entry.layer);
        let is_usable = image.base == *base
            && image.ground.is_current(&self.supplies.system)
            && layers.eq(&image.layers);
        if !is_usable {
            return Ok(None);
        }
        // The layers are on record before they could be taken for unused: a new one is young.
        let _lease = depot.import(&self.layers, &manifest).await?;
        Ok(Some(image))
    }
}

fn name(base: &Base) -> String {
    let json = serde_json::to_vec(base).unwrap_or_default();
    format!("image-{}", sha256(&json))
}
