//! A client that follows the log, is cut off at any moment, and comes back with what it has.

use std::collections::BTreeMap;

use super::super::*;
use super::object::{Object, Told, length};

#[derive(Default)]
pub struct Viewer {
    pub connected: bool,
    seq: u64,
    texts: BTreeMap<PartId, String>,
    finished: BTreeMap<PartId, String>,
}

impl Viewer {
    pub fn cut(&mut self) {
        self.connected = false;
        // What was growing is asked for again.
        self.texts.clear();
    }

    /// Subscribes with what it has, as `socket.rs` answers it.
    pub fn connect(&mut self, object: &Object) {
        self.cut();
        self.connected = true;
        let since = usize::try_from(self.seq).unwrap();
        for (seq, entry) in (self.seq + 1..).zip(&object.log[since..]) {
            self.event(seq, &entry.fact, entry.text.as_deref());
        }
        for part in object.state.open_parts.keys() {
            if let Some(text) = object.growing.get(part) {
                self.texts.insert(*part, text.clone());
            }
        }
    }

    pub fn told(&mut self, told: &[Told]) {
        if !self.connected {
            return;
        }
        for told in told {
            match told {
                Told::Event { seq, fact } => self.event(*seq, fact, None),
                Told::Delta { part, offset, text } => {
                    let known = self.texts.entry(*part).or_default();
                    assert_eq!(length(known), *offset, "deltas meet at a viewer");
                    known.push_str(text);
                }
            }
        }
    }

    fn event(&mut self, seq: u64, fact: &Fact, stored: Option<&str>) {
        assert_eq!(seq, self.seq + 1, "a viewer misses nothing");
        self.seq = seq;
        if let Fact::PartFinished {
            part,
            length: whole,
            text,
            ..
        } = fact
        {
            let streamed = self.texts.remove(part).unwrap_or_default();
            let text = stored.map(str::to_owned).or_else(|| text.clone());
            let text = text.unwrap_or(streamed);
            assert_eq!(length(&text), *whole, "the text is whole");
            let before = self.finished.insert(*part, text);
            assert_eq!(before, None, "a part ends once");
        }
    }

    pub fn check(&self, object: &Object) {
        assert_eq!(self.seq, object.log.len() as u64);
        for entry in &object.log {
            if let Fact::PartFinished { part, .. } = &*entry.fact {
                assert_eq!(self.finished.get(part), entry.text.as_ref());
            }
        }
    }
}
