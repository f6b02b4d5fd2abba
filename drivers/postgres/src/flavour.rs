//! Managed services, recognised by what their catalogues show; how they differ is not proven.

use std::collections::BTreeSet;

/// The roles that stand for a superuser on the services.
pub(crate) const ADMINISTRATORS: [&str; 4] =
    ["rds_superuser", "cloudsqlsuperuser", "alloydbsuperuser", "azure_pg_admin"];

/// A managed service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    Rds,
    Aurora,
    CloudSql,
    AlloyDb,
    Azure,
}

impl Flavour {
    /// Recognises a service by names of its own; `None` is a server that somebody runs by themselves.
    pub(crate) fn of(signs: &BTreeSet<String>) -> Option<Self> {
        let [rds, cloud_sql, alloy, azure] = ADMINISTRATORS.map(|name| signs.contains(name));
        match (rds, alloy, cloud_sql, azure) {
            (true, ..) if signs.contains("aurora_version") => Some(Self::Aurora),
            (true, ..) => Some(Self::Rds),
            // Before Cloud SQL, some of whose roles are there, too.
            (_, true, ..) => Some(Self::AlloyDb),
            (_, _, true, _) => Some(Self::CloudSql),
            (.., true) => Some(Self::Azure),
            _ => None,
        }
    }

    /// Returns what people call it.
    pub(crate) const fn product(self) -> &'static str {
        match self {
            Self::Rds => "Amazon RDS for PostgreSQL",
            Self::Aurora => "Amazon Aurora PostgreSQL",
            Self::CloudSql => "Cloud SQL for PostgreSQL",
            Self::AlloyDb => "AlloyDB for PostgreSQL",
            Self::Azure => "Azure Database for PostgreSQL",
        }
    }

    /// Returns the role that stands for a superuser there.
    pub(crate) const fn administrator(self) -> &'static str {
        match self {
            Self::Rds | Self::Aurora => "rds_superuser",
            Self::CloudSql => "cloudsqlsuperuser",
            Self::AlloyDb => "alloydbsuperuser",
            Self::Azure => "azure_pg_admin",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_known_by_what_they_show() {
        let table: [(&str, &[&str], Option<Flavour>); 8] = [
            ("a server of one's own", &[], None),
            ("RDS", &["rds_superuser", "rdsadmin"], Some(Flavour::Rds)),
            ("Aurora", &["rds_superuser", "rdsadmin", "aurora_version"], Some(Flavour::Aurora)),
            ("Cloud SQL", &["cloudsqlsuperuser", "cloudsqladmin"], Some(Flavour::CloudSql)),
            ("AlloyDB", &["alloydbsuperuser", "alloydbadmin"], Some(Flavour::AlloyDb)),
            (
                "AlloyDB beside Cloud SQL's",
                &["alloydbsuperuser", "cloudsqlsuperuser"],
                Some(Flavour::AlloyDb),
            ),
            ("Azure", &["azure_pg_admin", "azuresu", "azure_maintenance"], Some(Flavour::Azure)),
            ("a database of that name only", &["rdsadmin"], None),
        ];
        for (name, signs, expected) in table {
            let signs = signs.iter().map(|sign| (*sign).to_owned()).collect();
            assert_eq!(Flavour::of(&signs), expected, "{name}");
        }
    }
}
