//! The only name server of a sandbox. It asks nobody.
//!
//! A name that the policy allows gets an address of its own on the sandbox's loopback, which is all
//! the network that there is; whoever connects to it there has thereby said which host is meant.
//! The name itself is looked up by [`super::egress`] once something connects, so a look-up carries
//! nothing out. Every other name does not exist: that is final for every resolver, while a refusal
//! counts as a passing failure for some (glibc) and as no answer for others (musl).

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use protocol::egress::HostName;
use tokio::net::UdpSocket;

use super::bounds::Bounds;
use super::egress::refusal;
use super::ledger::{ContactKind, Ledger};

/// A question is some 300 bytes at most.
const LONGEST_QUERY: usize = 512;

/// Names that have an address at a time. A name that loses it gets it again when it is asked for.
const MOST_NAMES: usize = 1024;

/// In seconds. A policy can change, and an answer costs next to nothing.
const TTL: u32 = 10;

pub(super) struct Names {
    bounds: Arc<Bounds>,
    ledger: Arc<Ledger>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    addresses: HashMap<HostName, Ipv4Addr>,
    names: HashMap<Ipv4Addr, HostName>,
    /// Oldest first.
    order: VecDeque<HostName>,
}

impl Names {
    pub(super) fn new(bounds: Arc<Bounds>, ledger: Arc<Ledger>) -> Self {
        Self {
            bounds,
            ledger,
            table: Mutex::default(),
        }
    }

    pub(super) async fn serve(&self, socket: UdpSocket) {
        let mut buffer = [0; LONGEST_QUERY + 1];
        loop {
            let (length, from) = match socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                Err(error) => {
                    // The answer to a client that is gone comes back as an error of the next read.
                    tracing::debug!(%error, "a question could not be read");
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            let answer = buffer.get(..length).and_then(|query| self.answer(query));
            if let Some(answer) = answer
                && let Err(error) = socket.try_send_to(&answer, from)
            {
                tracing::debug!(%error, "an answer could not be sent");
            }
        }
    }

    /// The name that has this address.
    pub(super) fn name_at(&self, address: Ipv4Addr) -> Option<HostName> {
        self.table().names.get(&address).cloned()
    }

    /// `None` for what no resolver sends: there is nobody to tell.
    pub(super) fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        if query.len() > LONGEST_QUERY {
            return None;
        }
        let query = Message::from_vec(query).ok()?;
        if query.metadata.message_type != MessageType::Query {
            return None;
        }
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.metadata.recursion_desired = query.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        if query.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(1232);
            answer.set_edns(edns);
        }
        answer.metadata.response_code = match (query.metadata.op_code, query.queries.as_slice()) {
            (OpCode::Query, [question]) => {
                answer.add_query(question.clone());
                match self.ask(question) {
                    Ok(record) => {
                        answer.add_answers(record);
                        ResponseCode::NoError
                    }
                    Err(code) => code,
                }
            }
            (OpCode::Query, _) => ResponseCode::FormErr,
            _ => ResponseCode::NotImp,
        };
        answer.to_vec().ok()
    }

    fn ask(&self, question: &Query) -> Result<Option<Record>, ResponseCode> {
        if question.query_class() != DNSClass::IN {
            return Err(ResponseCode::Refused);
        }
        let name = question.name();
        let wants_address = question.query_type() == RecordType::A;
        if name.is_localhost() {
            return Ok(wants_address.then(|| record(name, Ipv4Addr::LOCALHOST)));
        }
        let text = name.to_ascii();
        let Ok(host) = HostName::parse(&text) else {
            // Names of one label are the sandbox's own business: nothing was to be reached.
            return Err(ResponseCode::NXDomain);
        };
        if !self.bounds.allow(&host) {
            if !host.as_str().ends_with(".arpa") {
                self.ledger
                    .denied(ContactKind::Name, host.as_str(), &refusal(&host));
            }
            return Err(ResponseCode::NXDomain);
        }
        Ok(wants_address.then(|| record(name, self.address_of(host))))
    }

    fn address_of(&self, host: HostName) -> Ipv4Addr {
        let mut table = self.table();
        if let Some(address) = table.addresses.get(&host) {
            return *address;
        }
        if table.order.len() >= MOST_NAMES
            && let Some(oldest) = table.order.pop_front()
            && let Some(address) = table.addresses.remove(&oldest)
        {
            table.names.remove(&address);
        }
        // Made from the name, so that programs which remember an address still have the right one
        // after the runner was started again.
        let mut hasher = DefaultHasher::new();
        host.hash(&mut hasher);
        let mut number = hasher.finish() as u32;
        let address = loop {
            let address = synthetic(number);
            if !table.names.contains_key(&address) {
                break address;
            }
            number = number.wrapping_add(1);
        };
        table.names.insert(address, host.clone());
        table.addresses.insert(host.clone(), address);
        table.order.push_back(host);
        address
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In 127.64.0.0/10, where nothing else listens by habit.
fn synthetic(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x7f40_0000 | (number & 0x003f_ffff))
}

fn record(name: &Name, address: Ipv4Addr) -> Record {
    Record::from_rdata(name.clone(), TTL, RData::A(A(address)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::str::FromStr as _;

    use proptest::prelude::*;
    use protocol::egress::{EgressPolicy, HostPattern};

    use super::*;

    fn names() -> Names {
        let policy = EgressPolicy {
            allow: ["example.com", "*.example.net"]
                .map(|pattern| HostPattern::parse(pattern).unwrap())
                .into(),
            defaults: false,
        };
        Names::new(Arc::new(Bounds::new(policy)), Arc::default())
    }

    fn query(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.metadata.id = 77;
        message.add_query(Query::query(Name::from_str(name).unwrap(), kind));
        message
    }

    fn ask(names: &Names, message: &Message) -> Message {
        let answer = names.answer(&message.to_vec().unwrap()).unwrap();
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!(answer.metadata.id, 77);
        answer
    }

    fn address(names: &Names, name: &str) -> Option<Ipv4Addr> {
        let answer = ask(names, &query(name, RecordType::A));
        match answer.answers.as_slice() {
            [record] => match record.data {
                RData::A(A(address)) => Some(address),
                _ => None,
            },
            _ => None,
        }
    }

    #[test]
    fn each_allowed_name_has_an_address_of_its_own_that_stays() {
        let names = names();
        let first = address(&names, "example.com.").unwrap();
        let second = address(&names, "a.example.net.").unwrap();
        assert_ne!(first, second);
        assert_eq!(address(&names, "EXAMPLE.com."), Some(first));
        assert_eq!(names.name_at(first).unwrap().as_str(), "example.com");
        let restarted = self::names();
        assert_eq!(address(&restarted, "a.example.net."), Some(second));
    }

    #[test]
    fn an_allowed_name_has_nothing_but_that_address() {
        let names = names();
        for kind in [
            RecordType::AAAA,
            RecordType::TXT,
            RecordType::HTTPS,
            RecordType::ANY,
        ] {
            let answer = ask(&names, &query("example.com.", kind));
            assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
            assert!(answer.answers.is_empty());
        }
    }

    #[test]
    fn any_other_name_does_not_exist_and_is_told_once() {
        let names = names();
        for kind in [RecordType::A, RecordType::AAAA, RecordType::TXT] {
            let answer = ask(&names, &query("secret.evil.org.", kind));
            assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
        }
        let contacts = names.ledger.list();
        let contact = contacts.first().unwrap();
        assert_eq!(contacts.len(), 1);
        assert_eq!(
            (contact.host.as_str(), contact.requests),
            ("secret.evil.org", 3)
        );
        assert!(contact.reason.as_ref().unwrap().contains("egress.allow"));
    }

    #[test]
    fn local_names_are_left_alone() {
        let names = names();
        assert_eq!(address(&names, "localhost."), Some(Ipv4Addr::LOCALHOST));
        for name in ["sandbox.", "53.0.0.127.in-addr.arpa."] {
            let answer = ask(&names, &query(name, RecordType::A));
            assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
        }
        assert_eq!(names.ledger.list(), []);
    }

    #[test]
    fn what_is_no_plain_question_gets_no_answer_out_of_it() {
        let names = names();
        let mut two = query("example.com.", RecordType::A);
        two.add_query(Query::query(Name::from_str("a.").unwrap(), RecordType::A));
        assert_eq!(
            ask(&names, &two).metadata.response_code,
            ResponseCode::FormErr
        );
        let mut chaos = query("example.com.", RecordType::A);
        chaos.queries.iter_mut().for_each(|question| {
            question.set_query_class(DNSClass::CH);
        });
        assert_eq!(
            ask(&names, &chaos).metadata.response_code,
            ResponseCode::Refused
        );
        let mut notify = query("example.com.", RecordType::A);
        notify.metadata.op_code = OpCode::Notify;
        assert_eq!(
            ask(&names, &notify).metadata.response_code,
            ResponseCode::NotImp
        );
        let mut answer = query("example.com.", RecordType::A);
        answer.metadata.message_type = MessageType::Response;
        assert_eq!(names.answer(&answer.to_vec().unwrap()), None);
        assert_eq!(names.answer(&[0; LONGEST_QUERY + 1]), None);
        assert_eq!(names.answer(b"GET / HTTP/1.1"), None);
    }

    #[test]
    fn a_name_that_points_at_itself_ends() {
        let mut query = query("example.com.", RecordType::A).to_vec().unwrap();
        query.truncate(12);
        // A compression pointer to itself, type A, class IN.
        query.extend([0xc0, 12, 0, 1, 0, 1]);
        assert_eq!(names().answer(&query), None);
    }

    #[test]
    fn the_table_is_bounded_and_never_gives_a_loopback_that_is_in_use() {
        let names = names();
        for number in 0..MOST_NAMES * 3 {
            let name = format!("{number}.example.net.");
            let address = address(&names, &name).unwrap();
            assert!(address.is_loopback() && address.octets()[1] >= 64);
        }
        let table = names.table();
        let sizes = [table.names.len(), table.addresses.len(), table.order.len()];
        assert_eq!(sizes, [MOST_NAMES; 3]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            names().answer(&bytes);
        }

        #[test]
        fn no_change_of_a_question_makes_it_panic(at in 0_usize..29, byte in any::<u8>()) {
            let mut query = query("example.com.", RecordType::A).to_vec().unwrap();
            if let Some(place) = query.get_mut(at) {
                *place = byte;
            }
            names().answer(&query);
        }
    }
}
