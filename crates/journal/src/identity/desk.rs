//! Where pins are met, added and changed.
//!
//! Who was met before is answered from memory while the files bear the stamps that they had. A pin that is
//! new is a line in `pins.log`, synced before it is answered; many lines, and every other change, are
//! `pins.json` written whole, and then the log is removed. A crash between the two leaves a log whose lines
//! all stand in `pins.json`: they are not read again, and the next line takes their place.

use std::borrow::Cow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{GranteeId, GranteeKey, Timestamp};

use super::files::Lock;
use super::held::{Held, Settled};
use super::keyring::Keyring;
use super::log::{self, Addition, End};
use super::tagged::Kind;
use super::{GranteePin, IdentityFault, IdentityStore, Meeting, Pins};

/// How long the turn is waited for; the lock among processes comes on top.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Desk {
    /// Somebody in this process writes. The next one is told, and need not ask for the lock again and again.
    busy: Mutex<bool>,
    free: Condvar,
    /// The pins as they were last read or written.
    held: Mutex<Option<Held>>,
}

/// Held while something is read, changed and written, in this process and among all.
pub(super) struct Turn<'d> {
    desk: &'d Desk,
    lock: Option<Lock>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.lock.take();
        *self.desk.busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.desk.free.notify_one();
    }
}

impl IdentityStore {
    /// Reads the pins.
    ///
    /// # Errors
    /// As [`Self::load`], and [`IdentityFault::Tampered`].
    pub fn pins(&self) -> Result<Pins, IdentityFault> {
        Held::read(&self.folder).map(|held| held.pins)
    }

    /// Looks at the pins without taking a copy. They are read only if the files have changed.
    ///
    /// # Errors
    /// As [`Self::pins`].
    pub fn with_pins<T>(&self, look: impl FnOnce(&Pins) -> T) -> Result<T, IdentityFault> {
        self.with_held(|held| look(&held.pins))
    }

    /// Changes the pins; they are on disk when this returns. Another command that changes them at the same
    /// time waits, so neither loses the other's pins. Nothing is written when nothing changes, else all of
    /// them.
    ///
    /// # Errors
    /// As [`Self::pins`], [`IdentityFault::InUse`], and [`IdentityFault::Io`] when it cannot be written:
    /// then the pins are as they were.
    pub fn update_pins<T>(&self, change: impl FnOnce(&mut Pins) -> T) -> Result<T, IdentityFault> {
        let _turn = self.turn()?;
        let before = Held::read(&self.folder)?;
        let mut after = before.pins.clone();
        let answer = change(&mut after);
        if after != before.pins {
            self.write_pins(&self.keyring()?, &after, before.end.number)?;
        }
        Ok(answer)
    }

    /// Pins a grantee's key, or says that another one was pinned before.
    ///
    /// # Errors
    /// As [`Self::update_pins`]; a pin that could not be written may be there all the same.
    pub fn pin(
        &self,
        grantee: &GranteeId,
        key: &GranteeKey,
        now: Timestamp,
    ) -> Result<Meeting, IdentityFault> {
        if self.with_pins(|pins| pins.compare(grantee, key))? == Meeting::Same {
            return Ok(Meeting::Same);
        }
        let _turn = self.turn()?;
        let (meeting, end) = self.with_held(|held| (held.pins.compare(grantee, key), held.end.clone()))?;
        if meeting == Meeting::Same {
            return Ok(meeting);
        }
        let (keyring, pin) = (self.keyring()?, GranteePin { key: key.clone(), since: now });
        if end.lines < log::MOST_LINES {
            let path = self.folder.file(log::FILE);
            let addition = end.add(&keyring, grantee, &pin, &path)?;
            self.log_pin(grantee, pin, &end, addition).inspect_err(|_| self.forget_held())?;
        } else {
            let mut pins = self.with_pins(Pins::clone)?;
            pins.put(grantee.clone(), pin);
            self.write_pins(&keyring, &pins, end.number)?;
        }
        Ok(meeting)
    }

    /// Begins with no pins, for when the old ones cannot be read any more: everything is pinned anew.
    ///
    /// # Errors
    /// As [`Self::load`], [`IdentityFault::InUse`], [`IdentityFault::Io`].
    pub fn reset_pins(&self) -> Result<(), IdentityFault> {
        let _turn = self.turn()?;
        // Numbers go on where that is possible, so that no line of before is believed again.
        let through = match Held::read(&self.folder) {
            Ok(held) => held.end.number,
            Err(fault) if fault.is_of_content() => 0,
            Err(fault) => return Err(fault),
        };
        self.write_pins(&self.keyring()?, &Pins::default(), through)
    }

    pub(super) fn turn(&self) -> Result<Turn<'_>, IdentityFault> {
        let busy = self.desk.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.desk.free.wait_timeout_while(busy, PATIENCE, |busy| *busy);
        let (mut busy, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(IdentityFault::InUse { path: self.dir().to_path_buf() });
        }
        *busy = true;
        drop(busy);
        let mut turn = Turn { desk: &self.desk, lock: None };
        turn.lock = Some(self.folder.lock()?);
        Ok(turn)
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.desk.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_held(&self) {
        self.held().take();
    }

    /// Looks at what is known of the pins, as the files say now.
    fn with_held<T>(&self, look: impl FnOnce(&Held) -> T) -> Result<T, IdentityFault> {
        let mut place = self.held();
        let held = match place.take() {
            Some(held) if held.is_current(&self.folder)? => held,
            _ => Held::read(&self.folder)?,
        };
        Ok(look(place.insert(held)))
    }

    /// Adds a line to the log, and the pin to what is known once the line is on disk. The caller has the
    /// turn.
    fn log_pin(
        &self,
        grantee: &GranteeId,
        pin: GranteePin,
        end: &End,
        addition: Addition,
    ) -> Result<(), IdentityFault> {
        let path = self.folder.file(log::FILE);
        let (log, named) = {
            let mut place = self.held();
            let log = Arc::new(self.folder.add(log::FILE, end.bytes, &addition.bytes)?);
            // Known before it is on disk, so that who asks for another grantee need not wait for that.
            let named = place.as_mut().is_some_and(|held| held.note_log(Arc::clone(&log)));
            (log, named)
        };
        let synced = log.sync(&path).and_then(|()| if named { Ok(()) } else { self.folder.sync() });
        if let Err(fault) = synced {
            log.cut(end.bytes);
            return Err(fault);
        }
        if let Some(held) = self.held().as_mut() {
            held.note_pin(grantee.clone(), pin, addition.end);
        }
        Ok(())
    }

    /// Writes all pins, which are those of the log through a number, and ends the log.
    pub(super) fn write_pins(
        &self,
        keyring: &Keyring,
        pins: &Pins,
        through: u64,
    ) -> Result<(), IdentityFault> {
        self.forget_held();
        let settled = Settled { pins: Cow::Borrowed(pins), through: Some(through) };
        self.write_tagged(keyring, Kind::Pins, &settled)?;
        if let Err(fault) = self.folder.remove(log::FILE) {
            tracing::debug!(%fault, "Log of pins is left over, and will be begun anew");
        }
        Ok(())
    }
}
