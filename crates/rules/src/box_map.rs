//! A sorted map whose values lie outside of its nodes.
//!
//! A node of the standard map has room for eleven values, used or not. An account has one access as a rule, and
//! there are a hundred thousand accounts: the unused room would be most of the memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A sorted map of large values, many maps of few or one map of many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BoxMap<K: Ord, V>(BTreeMap<K, Box<V>>);

impl<K: Ord, V> Default for BoxMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord, V> BoxMap<K, V> {
    /// Makes an empty one, which takes no memory.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key).map(Box::as_ref)
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key).map(Box::as_mut)
    }

    pub fn contains_key(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Puts a value, and returns the one that it replaces.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, Box::new(value)).map(|before| *before)
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key).map(|before| *before)
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values().map(Box::as_ref)
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.values_mut().map(Box::as_mut)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value.as_ref()))
    }
}
