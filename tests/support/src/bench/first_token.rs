//! How long a person waits for the first word: from the prompt's frame to the first text at the
//! client. The model answers at once, so all of it is the platform's and the agent's own time.

use std::time::{Duration, Instant};

use protocol::frame::ServerFrame;

use super::alone::Alone;
use super::{Bar, BenchError, LIMIT, Measure, ask, finished, median, milliseconds, rounds};
use crate::client::Viewer;

const PROMPT: &str = "[[stream tokens=20 rate=0]]";
/// Answers of each that are not counted: the first ones load code and open connections.
const WARM_UPS: usize = 5;
const ROUNDS: usize = 60;

/// What each still does after an answer would be counted as the other's time: the stack's index and
/// acknowledgements as the agent's, the agent's records as the stack's.
const SETTLED: Duration = Duration::from_millis(300);

/// Asks both in turns, so that whatever else the machine does meets both alike.
pub async fn measure(viewer: &mut Viewer, alone: &mut Alone) -> Result<Measure, BenchError> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..WARM_UPS + rounds(ROUNDS) {
        tokio::time::sleep(SETTLED).await;
        let our = first_token(viewer).await?;
        tokio::time::sleep(SETTLED).await;
        let their = alone.first_token(PROMPT).await?;
        if round >= WARM_UPS {
            ours.push(our);
            theirs.push(their);
        }
    }
    Ok(Measure {
        name: "prompt_to_first_token",
        value: milliseconds(median(&mut ours)),
        unit: "ms",
        baseline: Some(milliseconds(median(&mut theirs))),
        bar: Bar::Ratio(1.3),
        runs: ours.len(),
    })
}

async fn first_token(viewer: &mut Viewer) -> Result<Duration, BenchError> {
    let began = Instant::now();
    ask(viewer, PROMPT).await?;
    let first = viewer
        .wait_for("the first token", LIMIT, |_, frame| {
            matches!(frame, ServerFrame::Delta { .. }).then(|| began.elapsed())
        })
        .await?;
    finished(viewer).await?;
    Ok(first)
}
