//! What a long answer costs on the way to one viewer.

use protocol::event::Fact;

use super::{Bar, BenchError, Measure, ask, finished};
use crate::client::Viewer;

const PROMPT: &str = "[[stream tokens=8000 rate=100]]";

/// Payload bytes of every frame from the prompt to its end, over the bytes of the answer.
pub async fn measure(viewer: &mut Viewer) -> Result<Measure, BenchError> {
    let (bytes_before, events_before) = (viewer.bytes, viewer.events.len());
    ask(viewer, PROMPT).await?;
    finished(viewer).await?;
    let text: usize = viewer
        .events
        .iter()
        .skip(events_before)
        .filter_map(|event| match &event.fact {
            Fact::PartFinished { part, .. } => viewer.finished.get(part).map(String::len),
            _ => None,
        })
        .sum();
    if text == 0 {
        return Err(BenchError::Unexpected(
            "the long answer is empty".to_owned(),
        ));
    }
    Ok(Measure {
        name: "wire_bytes",
        value: (viewer.bytes - bytes_before) as f64,
        unit: "bytes",
        baseline: Some(text as f64),
        bar: Bar::Ratio(3.0),
        runs: 1,
    })
}
