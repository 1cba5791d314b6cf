//! What an image is made of besides its commit. Equal commits on equal ground make equal images, so
//! nothing is made twice, and what changed is the reason of what is made.

use protocol::image::Specification;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Image;
use super::system::System;

/// To be raised when [`super::recipe`] or [`super::agent`] does something else.
pub(super) const RECIPE: u32 = 3;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    pub specification: Specification,
    pub system: System,
    /// Version of the way in which images are made.
    pub recipe: u32,
}

#[derive(Serialize)]
struct Inputs<'a> {
    commit: &'a str,
    #[serde(flatten)]
    ground: &'a Ground,
}

impl Ground {
    /// Digest of everything that goes into an image.
    pub fn fingerprint(&self, commit: &str) -> String {
        let inputs = Inputs {
            commit,
            ground: self,
        };
        // Strings and numbers: there is nothing that could not be written.
        let json = serde_json::to_vec(&inputs).unwrap_or_default();
        sha256(&json)
    }

    /// Whether what is made on `system` today has this ground, but for its specification, which others
    /// look after.
    pub(super) fn is_current(&self, system: &System) -> bool {
        self.system == *system && self.recipe == RECIPE
    }

    /// Why an image of this commit is to be made, when `known` is what there is.
    pub(super) fn reason(&self, commit: &str, known: Option<&Image>) -> String {
        let Some(known) = known else {
            return "no image yet".to_owned();
        };
        let mut reasons = Vec::new();
        if known.commit != commit {
            let (from, to) = (short(&known.commit), short(commit));
            reasons.push(format!("{} moved from {from} to {to}", known.base.branch));
        }
        if known.ground.specification != self.specification {
            reasons.push("the specification changed".to_owned());
        }
        if known.ground.system != self.system {
            reasons.push("the system's packages changed".to_owned());
        }
        if known.ground.recipe != self.recipe {
            reasons.push("images are made in another way now".to_owned());
        }
        if reasons.is_empty() {
            return "asked for".to_owned();
        }
        reasons.join(", ")
    }
}

/// As hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

#[cfg(test)]
mod tests {
    use protocol::event::Repository;
    use protocol::image::Base;
    use protocol::{ImageId, Millis};

    use super::*;

    const OLD: &str = "1a2b3c4d5e6f";
    const NEW: &str = "5d6e7f8a9b0c";

    #[allow(clippy::unwrap_used, reason = "tests")]
    fn known(ground: Ground) -> Image {
        Image {
            id: ImageId::from_random([1; 16]),
            base: Base {
                repository: Repository::parse("octo/hello").unwrap(),
                branch: "main".to_owned(),
                environment: None,
            },
            commit: OLD.to_owned(),
            ground,
            reason: String::new(),
            layers: Vec::new(),
            built_at: Millis(1),
            steps: Vec::new(),
            runtime: Default::default(),
            bytes: 0,
        }
    }

    #[test]
    fn a_miss_names_everything_that_changed() {
        let ground = Ground::default();
        let image = known(ground.clone());
        assert_eq!(ground.reason(OLD, None), "no image yet");
        assert_eq!(ground.reason(OLD, Some(&image)), "asked for");
        assert_eq!(
            ground.reason(NEW, Some(&image)),
            "main moved from 1a2b3c4 to 5d6e7f8"
        );
        let mut other = ground.clone();
        other.specification.packages.push("hello".to_owned());
        assert_eq!(other.reason(OLD, Some(&image)), "the specification changed");
        other.system.packages = "changed".to_owned();
        assert_eq!(
            other.reason(NEW, Some(&image)),
            "main moved from 1a2b3c4 to 5d6e7f8, the specification changed, the system's packages changed"
        );
    }

    #[test]
    fn a_ground_is_current_on_its_own_system_and_by_the_present_recipe() {
        let ground = Ground {
            recipe: RECIPE,
            ..Ground::default()
        };
        let mut upgraded = ground.system.clone();
        upgraded.packages = "changed".to_owned();
        assert!(ground.is_current(&ground.system));
        assert!(!ground.is_current(&upgraded));
        let mut otherwise = ground.clone();
        otherwise.recipe -= 1;
        assert!(!otherwise.is_current(&ground.system));
        let mut specified = ground.clone();
        specified.specification.setup = Some("make".to_owned());
        assert!(specified.is_current(&ground.system));
    }

    #[test]
    fn every_input_is_part_of_the_fingerprint() {
        let ground = Ground::default();
        let mut others = [ground.clone(), ground.clone(), ground.clone()];
        let [specification, system, recipe] = &mut others;
        specification.specification.setup = Some("make".to_owned());
        system.system.packages = "changed".to_owned();
        recipe.recipe += 1;
        let first = ground.fingerprint(OLD);
        assert_eq!(first, ground.clone().fingerprint(OLD));
        assert_ne!(first, ground.fingerprint(NEW));
        assert!(others.iter().all(|other| other.fingerprint(OLD) != first));
    }
}
