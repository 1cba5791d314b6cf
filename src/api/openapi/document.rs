//! Writes the document, and holds it to the routes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod operation;
mod operations;
mod slack;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use self::operation::status_of;
use crate::router::ROUTES;

/// JSON schemas of the protocol's types, each once.
struct Schemas(SchemaGenerator);

impl Schemas {
    fn new() -> Self {
        let mut settings = SchemaSettings::draft2020_12().for_deserialize();
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        Self(settings.into_generator())
    }

    fn of<T: schemars::JsonSchema>(&mut self) -> Value {
        self.0.subschema_for::<T>().into()
    }
}

fn document() -> Value {
    let mut schemas = Schemas::new();
    let operations = operations::all(&mut schemas);
    let error = schemas.of::<protocol::api::ErrorBody>();
    let handlers = handlers();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut refusals = Map::new();
    for operation in &operations {
        let route = (operation.path, operation.method);
        let id = handlers.get(&route).copied().unwrap_or_default();
        let id = id.replace("::", ".");
        let described = operation.describe(&id, &error, &mut refusals);
        let path = operation.path.replace("{*", "{");
        let path = paths.entry(path).or_default();
        path.insert(operation.method.to_owned(), described);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "hosted-agents",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A background coding agent for teams. Errors are told apart by their \
                            code; README.md says what each means.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas.0.take_definitions(true),
            "responses": refusals,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A personal API token, made by `POST /api/tokens`.",
                },
                "browser": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": crate::auth::browser::SESSION_COOKIE,
                    "description": "A signed-in browser. What changes something needs the header \
                                    `X-Requested-With` as well, and an `Origin` of ours if any.",
                },
                "runner": {
                    "type": "apiKey",
                    "in": "header",
                    "name": protocol::signature::SIGNATURE_HEADER,
                    "description": "Standard Webhooks 1.0; method and path are signed too.",
                },
                "github": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-hub-signature-256",
                },
                "slack": {
                    "type": "apiKey",
                    "in": "header",
                    "name": crate::slack::signature::SIGNATURE_HEADER,
                },
            },
        },
    })
}

/// What answers each path and method.
fn handlers() -> BTreeMap<(&'static str, &'static str), &'static str> {
    ROUTES
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .iter()
                .map(move |(method, handler)| ((*path, *method), *handler))
        })
        .collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let mut schemas = Schemas::new();
    let operations = operations::all(&mut schemas);
    let described: BTreeSet<_> = operations
        .iter()
        .map(|one| (one.path, one.method))
        .collect();
    let routed: BTreeSet<_> = handlers().into_keys().collect();
    let missing: Vec<_> = routed.difference(&described).collect();
    assert!(
        missing.is_empty(),
        "describe these in src/api/openapi/document/operations.rs: {missing:?}"
    );
    let unknown: Vec<_> = described.difference(&routed).collect();
    assert!(unknown.is_empty(), "there are no such routes: {unknown:?}");
    assert_eq!(operations.len(), described.len(), "one is described twice");
}

#[test]
fn the_written_document_is_the_one_that_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/openapi/openapi.json");
    let mut text = String::new();
    write(&document(), 0, &mut text);
    text.push('\n');
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "{} is stale: UPDATE_GOLDEN=1 cargo test -p hosted-agents openapi",
        path.display()
    );
}

/// A line for each path, schema and shared answer: small to serve, and a change is seen.
fn write(value: &Value, depth: usize, text: &mut String) {
    let Some(fields) = value.as_object().filter(|_| depth < 3) else {
        text.push_str(&value.to_string());
        return;
    };
    text.push('{');
    for (number, (name, field)) in fields.iter().enumerate() {
        text.push_str(if number == 0 { "\n" } else { ",\n" });
        text.push_str(&Value::from(name.as_str()).to_string());
        text.push(':');
        write(field, depth + 1, text);
    }
    text.push_str("\n}");
}

#[test]
fn every_reference_leads_to_a_schema() {
    let document = document();
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    assert!(references.len() > 30, "{}", references.len());
    for reference in references {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                references.insert(reference.clone());
            }
            fields.values().for_each(|field| collect(field, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

#[test]
fn codes_have_the_status_that_errors_answer_with() {
    use crate::error::Error;
    use crate::session::machine::Refusal;
    for error in [
        Error::NotSignedIn,
        Error::CrossSite,
        Error::NotFound("session"),
        Error::ConflictingRequest,
        Error::BadTicket,
        Error::BadToken,
        Error::NotAllowed,
        Error::NotJson,
        Error::Replayed,
        Error::LinkBroken,
        Error::RateLimited(crate::limits::Wait { seconds: 1 }),
        Error::Denied(crate::auth::policy::Denied::Scope),
        Error::Refused(Refusal::Archived),
        Error::Refused(Refusal::QueueFull),
        Error::Refused(Refusal::NotWaiting),
        Error::Refused(Refusal::NothingRuns),
        Error::Refused(Refusal::Void),
        Error::invalid("body_too_large", ""),
        Error::invalid("prompt_too_long", ""),
        Error::invalid("malformed", ""),
    ] {
        assert_eq!(status_of(error.code()), error.status().as_u16(), "{error}");
    }
}
