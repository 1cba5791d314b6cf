//! Images that were made on what their runners no longer have: which of them call for new ones, and
//! where these are made.

use super::*;

fn with(number: u8, images: Vec<HeldImage>) -> Register {
    Register {
        images,
        ..offer(number, 4)
    }
}

fn stale(image: u8, built_at: i64) -> HeldImage {
    HeldImage {
        stale: true,
        ..held(image, "main", built_at)
    }
}

#[test]
fn a_base_is_stale_where_its_newest_image_is() {
    let is_stale = |runners: &[Register]| is_stale(runners, &base("main"));
    assert!(!is_stale(&[]));
    assert!(!is_stale(&[with(1, vec![held(1, "main", 1)])]));
    assert!(is_stale(&[with(1, vec![stale(1, 1)])]));
    // The runner that has the same image from the depot may be one that was not upgraded.
    let shared = [
        with(1, vec![held(1, "main", 1)]),
        with(2, vec![stale(1, 1)]),
    ];
    assert!(is_stale(&shared));
    let replaced = [
        with(1, vec![held(2, "main", 2)]),
        with(2, vec![stale(1, 1)]),
    ];
    assert!(!is_stale(&replaced));
    let other = HeldImage {
        base: base("develop"),
        ..stale(1, 1)
    };
    assert!(!is_stale(&[with(1, vec![other])]));
}

#[test]
fn a_stale_image_is_made_anew_where_it_is() {
    let chosen = |one: HeldImage, two: HeldImage, builds: [u32; 2]| {
        let running = [(runner(1), builds[0]), (runner(2), builds[1])];
        let runners = vec![with(1, vec![one]), with(2, vec![two])];
        place_build_in(runners, &base("main"), &running.into()).map(|chosen| chosen.runner)
    };
    let fresh = |image, built_at| held(image, "main", built_at);
    assert_eq!(chosen(fresh(1, 1), stale(1, 1), [0, 1]), Some(runner(2)));
    assert_eq!(chosen(fresh(1, 1), stale(1, 1), [0, 2]), Some(runner(1)));
    // One that nothing starts from is of no use to begin with.
    assert_eq!(chosen(stale(1, 1), fresh(2, 2), [0, 1]), Some(runner(2)));
}
