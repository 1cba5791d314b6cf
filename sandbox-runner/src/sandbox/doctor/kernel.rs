//! What the kernel says of itself, before anything is started on it. What it really does is found out by
//! a sandbox; this is for those kernels on which that is known to fail, so that they are told by name.

use rustix::system::uname;

/// With this one, overlays take their layers one by one, and attributes that a user may write.
const OLDEST: (u32, u32) = (6, 5);

/// gVisor says that it was made then, whichever release it says it is.
const GVISOR_MADE: &str = "Sun Jan 10 15:06:54 PST 2016";

/// The words of `uname`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    pub release: String,
    pub version: String,
}

/// Why there can be no sandboxes on a kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error(
        "this is gVisor ({release}): its overlays are written in memory alone, it has neither Landlock \
         nor control groups, and system calls that sandboxes are mounted by are missing; run the \
         runner on a virtual machine instead, such as a Fly Machine or a Modal VM sandbox"
    )]
    Gvisor { release: String },
    #[error("Linux 6.5 or later is needed, and this is {release}")]
    Old { release: String },
}

impl Kernel {
    pub fn read() -> Self {
        let name = uname();
        Self {
            release: name.release().to_string_lossy().into_owned(),
            version: name.version().to_string_lossy().into_owned(),
        }
    }

    /// Why there can be no sandboxes, if that is certain.
    pub fn refusal(&self) -> Option<Unfit> {
        let release = self.release.clone();
        if release.contains("gvisor") || self.version.contains(GVISOR_MADE) {
            return Some(Unfit::Gvisor { release });
        }
        let is_old = numbers(&release).is_some_and(|number| number < OLDEST);
        is_old.then_some(Unfit::Old { release })
    }
}

/// The first two numbers of a release like `6.1.0-28-amd64`.
fn numbers(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|other: char| !other.is_ascii_digit());
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(release: &str, version: &str) -> Option<Unfit> {
        let kernel = Kernel {
            release: release.to_owned(),
            version: version.to_owned(),
        };
        kernel.refusal()
    }

    #[test]
    fn a_kernel_before_6_5_is_refused_by_its_release() {
        let debian = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)";
        for release in ["6.1.0-28-amd64", "5.15.98-fly", "6.4.99", "4.19.0"] {
            let refused = refusal(release, debian);
            let text = refused.as_ref().map(Unfit::to_string).unwrap_or_default();
            assert!(matches!(refused, Some(Unfit::Old { .. })), "{release}");
            assert!(text.contains("6.5") && text.contains(release), "{text}");
        }
        for release in ["6.5.0", "6.5-rc1", "6.18.44-fc-v657", "7.0.1", "10.0"] {
            assert_eq!(refusal(release, debian), None, "{release}");
        }
    }

    #[test]
    fn what_a_kernel_of_no_known_form_does_is_left_to_the_probe() {
        for release in ["", "custom", "6", "6.x"] {
            assert_eq!(refusal(release, ""), None, "{release}");
        }
    }

    #[test]
    fn gvisor_is_known_whichever_release_it_says_it_is() {
        let version = "#1 SMP Sun Jan 10 15:06:54 PST 2016";
        // Debian's runsc, Modal's, and what one might say some day.
        for release in ["4.4.0", "4.19.0-gvisor", "6.12.0"] {
            let refused = refusal(release, version);
            assert!(matches!(refused, Some(Unfit::Gvisor { .. })), "{release}");
        }
        let newer = refusal("6.12.0-gvisor", "#1 SMP");
        assert!(newer.is_some_and(|unfit| unfit.to_string().contains("virtual machine")));
    }
}
