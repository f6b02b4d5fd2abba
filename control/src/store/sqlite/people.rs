//! Rows of users, tokens and keys.

use async_trait::async_trait;
use model::GranteeId;

use super::{SqliteRows, Through, all, encode, one, rows, run, unsigned};
use crate::record::{KeyRecord, Token, User};
use crate::rules::role::Role;
use crate::store::StoreFault;
use crate::store::rows::People;
use crate::token::TokenHash;

#[async_trait]
impl<C: Through> People for SqliteRows<C> {
    async fn user(&mut self, id: &GranteeId) -> Result<Option<User>, StoreFault> {
        one!(self, "SELECT body FROM users WHERE id = ?", id.as_str())
    }

    async fn user_by_email(&mut self, email: &str) -> Result<Option<User>, StoreFault> {
        one!(self, "SELECT body FROM users WHERE email = ?", email)
    }

    async fn users(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<User>, StoreFault> {
        all!(self, "SELECT body FROM users WHERE id > ? ORDER BY id LIMIT ?", after.unwrap_or(""), limit)
    }

    async fn put_user(&mut self, user: &User) -> Result<(), StoreFault> {
        let admin = user.roles.contains(&Role::Admin) && !user.disabled;
        let body = encode(user)?;
        run!(
            self,
            "INSERT INTO users (id, email, admin, body) VALUES (?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET email = excluded.email, admin = excluded.admin, body = excluded.body",
            user.id.as_str(),
            user.email.as_str(),
            admin,
            body
        )
        .map(drop)
    }

    async fn admins(&mut self) -> Result<u64, StoreFault> {
        let found: Vec<i64> = rows!(self, |row| row.get(0), "SELECT count(*) FROM users WHERE admin = 1")?;
        Ok(found.first().copied().map_or(0, unsigned))
    }

    async fn token_by_hash(&mut self, hash: &TokenHash) -> Result<Option<Token>, StoreFault> {
        one!(self, "SELECT body FROM tokens WHERE hash = ?", hash.0.as_str())
    }

    async fn tokens(&mut self, user: &GranteeId) -> Result<Vec<Token>, StoreFault> {
        all!(self, "SELECT body FROM tokens WHERE holder = ? ORDER BY id DESC", user.as_str())
    }

    async fn put_token(&mut self, token: &Token) -> Result<(), StoreFault> {
        let body = encode(token)?;
        run!(
            self,
            "INSERT INTO tokens (id, holder, hash, body) VALUES (?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            token.id.as_str(),
            token.user.as_str(),
            token.hash.0.as_str(),
            body
        )
        .map(drop)
    }

    async fn key(&mut self, user: &GranteeId) -> Result<Option<KeyRecord>, StoreFault> {
        one!(self, "SELECT body FROM grantee_keys WHERE holder = ? AND current = 1", user.as_str())
    }

    async fn keys(&mut self, user: &GranteeId) -> Result<Vec<KeyRecord>, StoreFault> {
        all!(self, "SELECT body FROM grantee_keys WHERE holder = ? ORDER BY number DESC", user.as_str())
    }

    async fn replace_key(&mut self, user: &GranteeId, key: &KeyRecord) -> Result<(), StoreFault> {
        if let Some(before) = self.key(user).await? {
            let body = encode(&KeyRecord { replaced_at: Some(key.registered_at), ..before })?;
            run!(
                self,
                "UPDATE grantee_keys SET current = 0, body = ? WHERE holder = ? AND current = 1",
                body,
                user.as_str()
            )?;
        }
        let body = encode(key)?;
        run!(self, "INSERT INTO grantee_keys (holder, current, body) VALUES (?, 1, ?)", user.as_str(), body)
            .map(drop)
    }
}
