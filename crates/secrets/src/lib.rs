//! Secret references, the stores that they point into, and what a reference is bound to.

pub mod binding;
