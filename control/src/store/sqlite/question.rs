//! A question whose text depends on what is asked for: pieces of text that are constants, and values that
//! are always bound.

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};
use serde::de::DeserializeOwned;

use super::{SqliteRows, Through, decode, unsigned};
use crate::store::StoreFault;

/// A question that is being put together.
pub(super) struct Question {
    text: String,
    values: Vec<Value>,
}

impl Question {
    pub(super) fn new(text: &'static str) -> Self {
        Self { text: text.into(), values: vec![] }
    }

    pub(super) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(super) fn bind(&mut self, value: impl Bound) -> &mut Self {
        self.text.push('?');
        self.values.push(value.bound());
        self
    }

    /// Asks; lists may be long.
    pub(super) fn rows<C: Through, T>(
        &self,
        rows: &SqliteRows<C>,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreFault> {
        C::aside(|| rows.ask(&self.text, params_from_iter(&self.values), read))
    }

    /// Asks for bodies.
    pub(super) fn bodies<C: Through, T: DeserializeOwned>(
        &self,
        rows: &SqliteRows<C>,
    ) -> Result<Vec<T>, StoreFault> {
        let found: Vec<String> = self.rows(rows, |row| row.get(0))?;
        found.iter().map(|body| decode(body)).collect()
    }

    /// Asks for bodies, each after its number.
    pub(super) fn numbered_bodies<C: Through, T: DeserializeOwned>(
        &self,
        rows: &SqliteRows<C>,
    ) -> Result<Vec<(u64, T)>, StoreFault> {
        let found: Vec<(i64, String)> = self.rows(rows, |row| Ok((row.get(0)?, row.get(1)?)))?;
        found.into_iter().map(|(number, body)| Ok((unsigned(number), decode(&body)?))).collect()
    }
}

/// What can be bound.
pub(super) trait Bound {
    fn bound(self) -> Value;
}

impl Bound for &str {
    fn bound(self) -> Value {
        Value::Text(self.into())
    }
}

impl Bound for String {
    fn bound(self) -> Value {
        Value::Text(self)
    }
}

impl Bound for i64 {
    fn bound(self) -> Value {
        Value::Integer(self)
    }
}

impl Bound for u32 {
    fn bound(self) -> Value {
        Value::Integer(self.into())
    }
}

impl Bound for bool {
    fn bound(self) -> Value {
        Value::Integer(self.into())
    }
}
