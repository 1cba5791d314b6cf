//! SQLite of a Durable Object, behind a trait that native tests implement with `rusqlite`.
//!
//! Nothing else touches the runtime's cursor: its `one()` hangs a request on zero rows, its
//! iterators throw through bindings that do not catch, and its booleans are stored as text.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;

use wasm_bindgen::prelude::*;
use worker::{SqlStorage, SqlStorageValue, State};

/// A value in a row. Integers stay within 2^53, since the runtime binds them as doubles.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a statement failed: {message}")]
pub struct SqlError {
    pub message: String,
}

impl From<worker::Error> for SqlError {
    fn from(error: worker::Error) -> Self {
        Self {
            message: error.to_string(),
        }
    }
}

/// One row, read by column number.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(Vec<Value>);

impl Row {
    pub fn new(values: Vec<Value>) -> Self {
        Self(values)
    }

    pub fn integer(&self, column: usize) -> Result<i64, SqlError> {
        match self.0.get(column) {
            Some(Value::Integer(number)) => Ok(*number),
            #[expect(clippy::cast_possible_truncation, reason = "integers stay within 2^53")]
            Some(Value::Real(number)) => Ok(*number as i64),
            other => Err(SqlError {
                message: format!("no integer in column {column}: {other:?}"),
            }),
        }
    }

    pub fn text(&self, column: usize) -> Result<&str, SqlError> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(text),
            other => Err(SqlError {
                message: format!("no text in column {column}: {other:?}"),
            }),
        }
    }
}

pub trait Sql {
    /// Runs one or more statements; parameters belong to the last, whose rows are returned.
    fn run(&self, statements: &str, parameters: &[Value]) -> Result<Vec<Row>, SqlError>;

    /// Runs `work` so that all of its statements take effect, or none.
    fn transaction(&self, work: &mut dyn FnMut() -> Result<(), SqlError>) -> Result<(), SqlError>;
}

#[wasm_bindgen]
extern "C" {
    type RawStorage;

    // Not bound by the `worker` crate.
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &RawStorage,
        work: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;
}

/// SQLite of the object that `state` belongs to.
pub struct DurableSql {
    sql: SqlStorage,
    raw: JsValue,
}

impl DurableSql {
    pub fn new(state: &State) -> Self {
        let storage = state.storage();
        let raw: &JsValue = storage.as_raw().as_ref();
        Self {
            sql: storage.sql(),
            raw: raw.clone(),
        }
    }
}

impl Sql for DurableSql {
    fn run(&self, statements: &str, parameters: &[Value]) -> Result<Vec<Row>, SqlError> {
        let parameters: Vec<SqlStorageValue> = parameters.iter().map(bind).collect();
        let cursor = self.sql.exec(statements, parameters)?;
        cursor
            .raw()
            .map(|row| Ok(Row::new(row?.into_iter().map(read).collect())))
            .collect()
    }

    fn transaction(&self, work: &mut dyn FnMut() -> Result<(), SqlError>) -> Result<(), SqlError> {
        // The runtime rolls back when the closure throws; the error itself is kept on this side.
        // A panic inside ends in a rollback as well, so it is safe to go on after one.
        let failure = AssertUnwindSafe(RefCell::new(None));
        let work = AssertUnwindSafe(RefCell::new(work));
        let (failure_in, work) = (&failure, &work);
        let mut guarded = move || {
            // The wrappers are captured whole: a field alone would not be unwind-safe.
            let (failure, work): (&AssertUnwindSafe<_>, &AssertUnwindSafe<_>) = (failure_in, work);
            let outcome = (work.borrow_mut())();
            outcome.map(|()| JsValue::UNDEFINED).map_err(|error| {
                *failure.borrow_mut() = Some(error);
                JsValue::from_str("rolled back")
            })
        };
        let outcome = self
            .raw
            .unchecked_ref::<RawStorage>()
            .transaction_sync(&mut guarded);
        match (outcome, failure.take()) {
            (_, Some(error)) => Err(error),
            (Err(thrown), None) => Err(SqlError {
                message: format!("{thrown:?}"),
            }),
            (Ok(_), None) => Ok(()),
        }
    }
}

fn bind(value: &Value) -> SqlStorageValue {
    match value {
        Value::Null => SqlStorageValue::Null,
        Value::Integer(number) => SqlStorageValue::Integer(*number),
        Value::Real(number) => SqlStorageValue::Float(*number),
        Value::Text(text) => SqlStorageValue::String(text.clone()),
        Value::Blob(bytes) => SqlStorageValue::Blob(bytes.clone()),
    }
}

fn read(value: SqlStorageValue) -> Value {
    match value {
        SqlStorageValue::Null => Value::Null,
        SqlStorageValue::Boolean(truth) => Value::Integer(i64::from(truth)),
        SqlStorageValue::Integer(number) => Value::Integer(number),
        SqlStorageValue::Float(number) => Value::Real(number),
        SqlStorageValue::String(text) => Value::Text(text),
        SqlStorageValue::Blob(bytes) => Value::Blob(bytes),
    }
}

#[cfg(test)]
pub mod native {
    //! The same trait over `rusqlite`, so that schema and queries are tested natively.

    use rusqlite::types::Value as Native;

    use super::{Row, Sql, SqlError, Value};

    pub struct NativeSql(pub rusqlite::Connection);

    impl NativeSql {
        #[expect(clippy::expect_used, reason = "tests")]
        pub fn in_memory() -> Self {
            Self(rusqlite::Connection::open_in_memory().expect("memory is at hand"))
        }
    }

    fn failed(error: rusqlite::Error) -> SqlError {
        SqlError {
            message: error.to_string(),
        }
    }

    impl Sql for NativeSql {
        fn run(&self, statements: &str, parameters: &[Value]) -> Result<Vec<Row>, SqlError> {
            let mut rest = statements;
            let mut rows = Vec::new();
            while !rest.trim().is_empty() {
                // Statements here hold no semicolon inside of text.
                let (statement, tail) = rest.split_once(';').unwrap_or((rest, ""));
                let last = tail.trim().is_empty();
                let mut prepared = self.0.prepare(statement).map_err(failed)?;
                let bound = parameters.iter().filter(|_| last).map(|value| match value {
                    Value::Null => Native::Null,
                    Value::Integer(number) => Native::Integer(*number),
                    Value::Real(number) => Native::Real(*number),
                    Value::Text(text) => Native::Text(text.clone()),
                    Value::Blob(bytes) => Native::Blob(bytes.clone()),
                });
                let columns = prepared.column_count();
                let found = prepared.query_map(rusqlite::params_from_iter(bound), |row| {
                    (0..columns)
                        .map(|column| row.get::<_, Native>(column))
                        .collect::<Result<Vec<_>, _>>()
                });
                rows = found
                    .map_err(failed)?
                    .map(|row| {
                        Ok(Row::new(
                            row.map_err(failed)?
                                .into_iter()
                                .map(|value| match value {
                                    Native::Null => Value::Null,
                                    Native::Integer(number) => Value::Integer(number),
                                    Native::Real(number) => Value::Real(number),
                                    Native::Text(text) => Value::Text(text),
                                    Native::Blob(bytes) => Value::Blob(bytes),
                                })
                                .collect(),
                        ))
                    })
                    .collect::<Result<Vec<_>, SqlError>>()?;
                rest = tail;
            }
            Ok(rows)
        }

        fn transaction(
            &self,
            work: &mut dyn FnMut() -> Result<(), SqlError>,
        ) -> Result<(), SqlError> {
            self.0.execute_batch("SAVEPOINT work").map_err(failed)?;
            let outcome = work();
            let end = if outcome.is_ok() {
                "RELEASE work"
            } else {
                "ROLLBACK TO work"
            };
            self.0.execute_batch(end).map_err(failed)?;
            outcome
        }
    }
}
