//! One message and what its file has to be.

use std::collections::BTreeSet;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a reader does with a field that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// A client's mistake is told at once.
    Refused,
    /// The Worker and the runners are not replaced at the same moment.
    PassedOver,
}

pub struct Example {
    /// Of its file, without `.json`.
    pub name: String,
    /// The type's own name, without its path.
    pub type_name: &'static str,
    pub unknown: Unknown,
    pub text: String,
    read: Box<Read>,
}

type Read = dyn Fn(&str) -> Result<(), String> + Send + Sync;

impl Example {
    /// Whether `text` is read as this very message; else why not.
    pub fn read(&self, text: &str) -> Result<(), String> {
        (self.read)(text)
    }
}

pub trait Message:
    Serialize + DeserializeOwned + PartialEq + Debug + Send + Sync + 'static
{
}

impl<T: Serialize + DeserializeOwned + PartialEq + Debug + Send + Sync + 'static> Message for T {}

/// An enum that can say which variants it has; see [`variants`].
pub trait Variants {
    const ALL: &'static [&'static str];

    fn variant(&self) -> &'static str;
}

/// Names all variants of an enum by a `match` without a wildcard: a new variant does not compile
/// until it is named here, and then fails the tests until it has an example.
macro_rules! variants {
    ($($type:ty { $($variant:ident),+ $(,)? })+) => {
        $(
            impl $crate::example::Variants for $type {
                const ALL: &'static [&'static str] = &[$(stringify!($variant)),+];

                fn variant(&self) -> &'static str {
                    match self {
                        $(Self::$variant { .. } => stringify!($variant)),+
                    }
                }
            }
        )+
    };
}
pub(crate) use variants;

pub fn message<T: Message>(name: &str, unknown: Unknown, value: T) -> Example {
    let mut text = serde_json::to_string_pretty(&value).unwrap();
    text.push('\n');
    let path = std::any::type_name::<T>();
    Example {
        name: name.to_owned(),
        type_name: path.rsplit("::").next().unwrap_or(path),
        unknown,
        text,
        read: Box::new(move |text| {
            let read: T = serde_json::from_str(text).map_err(|error| error.to_string())?;
            if read == value {
                Ok(())
            } else {
                Err(format!("read as {read:?}"))
            }
        }),
    }
}

/// A file for each variant, named after it.
pub fn each<T: Message + Variants>(prefix: &str, unknown: Unknown, values: Vec<T>) -> Vec<Example> {
    each_in(prefix, unknown, values, |value| value)
}

/// A file for each variant, in the message that carries it.
pub fn each_in<T: Variants, M: Message>(
    prefix: &str,
    unknown: Unknown,
    values: Vec<T>,
    carry: impl Fn(T) -> M,
) -> Vec<Example> {
    assert_all_are_there(&values);
    values
        .into_iter()
        .map(|value| {
            let name = format!("{prefix}-{}", snake_case(value.variant()));
            message(&name, unknown, carry(value))
        })
        .collect()
}

/// One file with all variants of an enum that only travels inside messages.
pub fn list<T: Message + Variants>(name: &str, values: Vec<T>) -> Example {
    assert_all_are_there(&values);
    let path = std::any::type_name::<T>();
    Example {
        type_name: path.rsplit("::").next().unwrap_or(path),
        ..message(name, Unknown::PassedOver, values)
    }
}

fn assert_all_are_there<T: Variants>(values: &[T]) {
    let shown: BTreeSet<_> = values.iter().map(T::variant).collect();
    let all: BTreeSet<_> = T::ALL.iter().copied().collect();
    let missing: Vec<_> = all.difference(&shown).collect();
    assert!(
        missing.is_empty(),
        "{} has variants without an example: {missing:?}",
        std::any::type_name::<T>()
    );
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
