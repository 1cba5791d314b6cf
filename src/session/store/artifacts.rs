//! Which files the session has.

use protocol::ArtifactId;
use protocol::event::Artifact;

use super::{Store, StoreError, first_json, integer};
use crate::artifacts::upload::Uploaded;
use crate::platform::sql::Sql;
use crate::session::artifacts::Record;

impl<S: Sql> Store<S> {
    pub fn artifact(&self, id: &ArtifactId) -> Result<Option<Record>, StoreError> {
        let found = "SELECT json FROM artifacts WHERE id = ?";
        first_json(&self.sql.run(found, &[id.as_str().into()])?)
    }

    /// One of the same name with the same bytes.
    pub fn same_artifact(&self, uploaded: &Uploaded) -> Result<Option<Record>, StoreError> {
        first_json(&self.sql.run(
            "SELECT json FROM artifacts WHERE sha256 = ? AND name = ? ORDER BY number LIMIT 1",
            &[
                uploaded.sha256.as_str().into(),
                uploaded.name.as_str().into(),
            ],
        )?)
    }

    /// Oldest first.
    pub fn artifacts(&self) -> Result<Vec<Artifact>, StoreError> {
        let rows = self
            .sql
            .run("SELECT json FROM artifacts ORDER BY number", &[])?;
        rows.iter()
            .map(|row| {
                let record: Record = serde_json::from_str(row.text(0)?)?;
                Ok(record.artifact)
            })
            .collect()
    }

    /// Bytes of all of them together.
    pub fn artifact_bytes(&self) -> Result<u64, StoreError> {
        let rows = self
            .sql
            .run("SELECT COALESCE(SUM(bytes), 0) FROM artifacts", &[])?;
        let sum = rows.first().map_or(Ok(0), |row| row.integer(0))?;
        Ok(u64::try_from(sum).unwrap_or(0))
    }

    pub fn write_artifact(&self, record: &Record) -> Result<(), StoreError> {
        let Record { artifact, sha256 } = record;
        self.sql.run(
            "INSERT INTO artifacts (id, sha256, name, bytes, json) VALUES (?, ?, ?, ?, ?)",
            &[
                artifact.id.as_str().into(),
                sha256.as_str().into(),
                artifact.name.as_str().into(),
                integer(artifact.bytes),
                serde_json::to_string(record)?.into(),
            ],
        )?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::platform::sql::native::NativeSql;

    fn record(id: &str, name: &str, bytes: u64, sha256: &str) -> Record {
        Record {
            artifact: Artifact {
                id: ArtifactId::parse(id).unwrap(),
                name: name.to_owned(),
                media_type: "text/plain".to_owned(),
                bytes,
                caption: None,
            },
            sha256: sha256.to_owned(),
        }
    }

    fn uploaded(name: &str, sha256: &str) -> Uploaded {
        Uploaded {
            name: name.to_owned(),
            media_type: "text/plain".to_owned(),
            bytes: 1,
            sha256: sha256.to_owned(),
        }
    }

    #[test]
    fn files_are_found_by_identifier_and_by_name_and_bytes() {
        let store = Store::open(NativeSql::in_memory()).unwrap();
        let (b, a) = (
            record("art_b", "x.txt", 3, "d1"),
            record("art_a", "y.txt", 4, "d2"),
        );
        store.write_artifact(&b).unwrap();
        store.write_artifact(&a).unwrap();
        assert_eq!(store.artifact(&a.artifact.id).unwrap(), Some(a.clone()));
        assert_eq!(store.artifact_bytes().unwrap(), 7);
        let names: Vec<_> = store
            .artifacts()
            .unwrap()
            .into_iter()
            .map(|one| one.name)
            .collect();
        assert_eq!(names, ["x.txt", "y.txt"]);
        assert_eq!(
            store.same_artifact(&uploaded("x.txt", "d1")).unwrap(),
            Some(b)
        );
        assert_eq!(store.same_artifact(&uploaded("x.txt", "d2")).unwrap(), None);
    }
}
