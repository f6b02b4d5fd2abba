//! A target's accounts, in two files: a slot of one size for each account, and the accounts' ids beside them.
//!
//! Promises: what was written is there for the next process, however this one ended; an account is there once its id is;
//! a number is never given twice. Nothing is kept in memory. Leaves to others: a power cut, which no storm plays.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use model::{AccountId, EntitlementSet};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Room for one account.
const SLOT: usize = 1024;
/// Room for one id.
const ID: usize = 16;

/// One account at a time is made: the driver may have two connections to a target for a moment.
static MAKING: Mutex<()> = Mutex::new(());

/// An account on a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub id: AccountId,
    pub name: String,
    pub can_log_in: bool,
    /// When the target itself stops new logins, in milliseconds since 1970.
    pub expires: Option<i64>,
    pub mark: String,
    pub held: EntitlementSet,
    /// When the login was shut last, in milliseconds since 1970.
    pub shut_at: Option<i64>,
}

/// Which account: its place, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub u64);

/// The files of one target.
#[derive(Debug)]
pub struct Shelf {
    rows: File,
    ids: File,
}

impl Shelf {
    /// Opens a target's folder, which has to be there.
    ///
    /// # Errors
    /// When a file cannot be opened or made.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let open = |name: &str| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).open(folder.join(name))
        };
        Ok(Self { rows: open("rows")?, ids: open("ids")? })
    }

    /// Finds an account by its id.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn find(&self, id: AccountId) -> io::Result<Option<Number>> {
        let wanted = id.as_uuid();
        let ids = self.ids()?;
        let place = ids.chunks_exact(ID).position(|found| found == wanted.as_bytes());
        Ok(place.map(number))
    }

    /// Reads an account; `None` when there is none of that number.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn read(&self, number: Number) -> io::Result<Option<Row>> {
        let Some(place) = number.0.checked_sub(1) else { return Ok(None) };
        let mut id = [0; ID];
        match self.ids.read_exact_at(&mut id, place * ID as u64) {
            Ok(()) if id == *Uuid::nil().as_bytes() => return Ok(None),
            Ok(()) => {}
            Err(fault) if fault.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(fault) => return Err(fault),
        }
        let mut text = vec![0; SLOT];
        self.rows.read_exact_at(&mut text, place * SLOT as u64)?;
        Ok(Some(serde_json::from_slice(&text)?))
    }

    /// Changes an account that is there.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn write(&self, number: Number, row: &Row) -> io::Result<()> {
        let mut text = serde_json::to_vec(row)?;
        if text.len() > SLOT {
            return Err(io::Error::other("an account does not fit its slot"));
        }
        text.resize(SLOT, b' ');
        self.rows.write_all_at(&text, number.0.saturating_sub(1) * SLOT as u64)
    }

    /// Makes an account; what it holds may depend on its number.
    ///
    /// # Errors
    /// What `row` says, and when the files cannot be written.
    pub fn make<E: From<io::Error>>(
        &self,
        row: impl FnOnce(Number) -> Result<Row, E>,
    ) -> Result<(Number, Row), E> {
        let _one_at_a_time = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.ids.metadata()?.len() / ID as u64;
        let number = Number(place + 1);
        let row = row(number)?;
        self.write(number, &row)?;
        self.ids.write_all_at(row.id.as_uuid().as_bytes(), place * ID as u64)?;
        Ok((number, row))
    }

    /// Removes an account. Its number is not given again.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn remove(&self, number: Number) -> io::Result<()> {
        self.ids.write_all_at(Uuid::nil().as_bytes(), number.0.saturating_sub(1) * ID as u64)
    }

    /// Numbers of all that were ever made, also of those that were removed.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn numbers(&self) -> io::Result<impl Iterator<Item = Number> + use<>> {
        let count = self.ids.metadata()?.len() / ID as u64;
        Ok((1..=count).map(Number))
    }

    fn ids(&self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.ids.metadata()?.len()).map_err(io::Error::other)?;
        let mut ids = vec![0; length / ID * ID];
        self.ids.read_exact_at(&mut ids, 0)?;
        Ok(ids)
    }
}

fn number(place: usize) -> Number {
    Number(place as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u128) -> Row {
        Row {
            id: AccountId::from_uuid(Uuid::from_u128(n)),
            name: format!("tidegate_person_{n}"),
            can_log_in: true,
            expires: Some(1_800_000_000_000),
            mark: "tidegate:1:".to_owned() + &"m".repeat(340),
            held: EntitlementSet::nothing(),
            shut_at: None,
        }
    }

    #[test]
    fn accounts_are_there_for_the_next_who_opens_it() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let make = |shelf: &Shelf, n| shelf.make::<io::Error>(|_| Ok(row(n))).unwrap().0;
        let made: Vec<_> = (1..=3).map(|n| make(&shelf, n)).collect();
        assert_eq!(made, [Number(1), Number(2), Number(3)]);
        shelf.write(made[1], &Row { can_log_in: false, ..row(2) }).unwrap();
        shelf.remove(made[0]).unwrap();
        let again = Shelf::open(folder.path()).unwrap();
        assert_eq!(again.read(Number(0)).unwrap(), None);
        assert_eq!(again.read(Number(1)).unwrap(), None, "it was removed");
        assert_eq!(again.find(row(1).id).unwrap(), None);
        assert_eq!(again.read(Number(2)).unwrap(), Some(Row { can_log_in: false, ..row(2) }));
        assert_eq!(again.find(row(3).id).unwrap(), Some(Number(3)));
        assert_eq!(again.read(Number(4)).unwrap(), None);
        assert_eq!(make(&again, 1), Number(4), "no number comes twice");
        assert_eq!(again.numbers().unwrap().count(), 4);
    }

    #[test]
    fn an_account_that_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let large = Row { mark: "m".repeat(SLOT), ..row(1) };
        assert!(shelf.make::<io::Error>(|_| Ok(large)).is_err());
        assert_eq!(shelf.numbers().unwrap().count(), 0);
    }
}
