//! From records to what the API gives: names for ids, words for states, and what the asker may do.

pub(super) mod access;
pub(super) mod integration;
pub(super) mod people;
