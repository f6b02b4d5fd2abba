//! What differs between versions of PostgreSQL: every branch is here, pure, and tested as a table.

use std::fmt;

/// A server's version as `server_version_num` tells it, for example 150013.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32);

impl Version {
    /// The oldest version that this driver works on: the first with SCRAM verifiers.
    pub(crate) const OLDEST: Self = Self(100_000);

    /// Returns the major version.
    pub(crate) const fn major(self) -> u32 {
        self.0 / 10_000
    }

    /// Returns true when a membership says for itself whether it inherits and allows `SET ROLE`, and is
    /// one row for each grantor.
    pub(crate) const fn memberships_have_options(self) -> bool {
        self.major() >= 16
    }

    /// Returns true when tables know the privilege `MAINTAIN`.
    pub(crate) const fn has_maintain(self) -> bool {
        self.major() >= 17
    }

    /// Returns true when `ROUTINE` means functions and procedures alike.
    pub(crate) const fn has_routines(self) -> bool {
        self.major() >= 11
    }

    /// Returns true when settings of the server can be granted.
    pub(crate) const fn has_parameter_rights(self) -> bool {
        self.major() >= 15
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.0 % 10_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_branch_has_its_first_version() {
        type Branch = (&'static str, fn(Version) -> bool, u32);
        let table: [Branch; 4] = [
            ("routines", Version::has_routines, 11),
            ("parameter rights", Version::has_parameter_rights, 15),
            ("membership options", Version::memberships_have_options, 16),
            ("maintain", Version::has_maintain, 17),
        ];
        for (name, branch, first) in table {
            for major in 10..=18 {
                assert_eq!(branch(Version(major * 10_000 + 3)), major >= first, "{name} on {major}");
            }
        }
    }

    #[test]
    fn versions_read_as_people_write_them() {
        assert_eq!(Version(150_013).to_string(), "15.13");
        assert_eq!(Version(180_000).to_string(), "18.0");
        assert!(Version(90_624) < Version::OLDEST);
    }
}
