//! D1: who may come in, and what lists show. Nothing of a session is decided here.

pub mod audit;
pub mod bases;
pub mod commit_emails;
pub mod deliveries;
pub mod environments;
pub mod image_ages;
pub mod image_logs;
pub mod images;
pub mod installations;
pub mod logins;
#[cfg(test)]
pub mod native;
pub mod preferences;
pub mod prompts;
pub mod pull_requests;
pub mod reach;
pub mod repositories;
pub mod secrets;
pub mod seen;
pub mod session_list;
pub mod sessions;
pub mod slack;
pub mod slack_tokens;
pub mod slack_waits;
pub mod statistics;
pub mod threads;
pub mod tokens;
pub mod users;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use wasm_bindgen::JsValue;
use worker::{D1Database, D1PreparedStatement, Env};

use crate::config::{self, ConfigError};
use crate::platform::crypto::CryptoError;
use crate::platform::random::hex;
use crate::platform::sealing::KeyRing;

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("failed to query D1")]
    Query(#[from] worker::Error),
    #[error("a row has an unknown form")]
    Row(#[from] serde_json::Error),
    #[error("a sealed column cannot be used")]
    Sealed(#[from] CryptoError),
    #[error("the database is not configured")]
    Config(#[from] ConfigError),
}

pub struct Database {
    d1: D1Database,
    keys: KeyRing,
}

/// Larger than every identifier and moment, and still exact as a double.
const LARGEST: i64 = 1 << 52;

/// A parameter. Numbers are bound as doubles: D1 refuses the `BigInt` of a 64-bit integer.
pub enum Parameter<'a> {
    Text(&'a str),
    Number(i64),
    Optional(Option<&'a str>),
}

impl Database {
    pub fn new(env: &Env) -> Result<Self, DatabaseError> {
        Ok(Self {
            d1: env.d1("DB")?,
            keys: config::encryption_keys(env)?,
        })
    }

    fn prepare(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<D1PreparedStatement, DatabaseError> {
        let values: Vec<JsValue> = parameters
            .iter()
            .map(|parameter| match parameter {
                Parameter::Text(text) => JsValue::from_str(text),
                #[expect(clippy::cast_precision_loss, reason = "ids and times stay within 2^53")]
                Parameter::Number(number) => JsValue::from_f64(*number as f64),
                Parameter::Optional(text) => text.map_or(JsValue::NULL, JsValue::from_str),
            })
            .collect();
        Ok(self.d1.prepare(statement).bind(&values)?)
    }

    async fn run(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<(), DatabaseError> {
        self.prepare(statement, parameters)?.run().await?;
        Ok(())
    }

    /// All of them or none.
    async fn batch(&self, statements: Vec<D1PreparedStatement>) -> Result<(), DatabaseError> {
        for result in self.d1.batch(statements).await? {
            if let Some(error) = result.error() {
                return Err(worker::Error::RustError(error).into());
            }
        }
        Ok(())
    }

    async fn first<T: DeserializeOwned>(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<T>, DatabaseError> {
        Ok(self
            .prepare(statement, parameters)?
            .first::<T>(None)
            .await?)
    }

    async fn all<T: DeserializeOwned>(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<T>, DatabaseError> {
        Ok(self
            .prepare(statement, parameters)?
            .all()
            .await?
            .results()?)
    }
}

/// The name that a value has on the wire, which is the one that it has in rows.
fn name(value: impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_value(value).and_then(serde_json::from_value)
}

/// What is kept of a secret by which somebody is known.
fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// A variant without fields as the word that stands for it everywhere.
fn word(value: impl Serialize) -> Result<String, DatabaseError> {
    match serde_json::to_value(value)? {
        serde_json::Value::String(word) => Ok(word),
        other => Ok(other.to_string()),
    }
}
