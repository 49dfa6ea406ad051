//! Settings of synced tables: what runs are told beside the spec.

use lakeport_api::SyncSettings;
use lakeport_store::SyncedTable;

use crate::{Control, Error, NullCharacters, Result, RunSettings};

/// Less would read files byte by byte; more than a machine has is found out by itself.
const MIN_MEMORY: i64 = 16 * 1024 * 1024;

pub(crate) fn check(settings: Option<&SyncSettings>, field: &str) -> Result<()> {
    settings.map_or(Ok(()), |settings| read(settings, field).map(|_| ()))
}

fn read(settings: &SyncSettings, field: &str) -> Result<RunSettings> {
    let invalid =
        |name: &str, problem: String| Err(Error::invalid(&format!("{field}.{name}"), problem));
    let null_characters = match settings.null_characters.as_deref() {
        None | Some("FAIL") => NullCharacters::Fail,
        Some("STRIP") => NullCharacters::Strip,
        Some("REPLACE") => NullCharacters::Replace,
        Some(other) => {
            let problem = format!("\"{other}\" is not one of FAIL, STRIP, REPLACE");
            return invalid("null_characters", problem);
        }
    };
    let shares = [("reload_share", settings.reload_share), ("swap_share", settings.swap_share)];
    for (name, share) in shares {
        if let Some(share) = share.filter(|share| !(0.0..=1.0).contains(share)) {
            return invalid(name, format!("{share} is not a share from 0 to 1"));
        }
    }
    let memory_bytes = match settings.memory_bytes {
        None => None,
        Some(bytes @ MIN_MEMORY..) => usize::try_from(bytes).ok(),
        Some(bytes) => {
            return invalid("memory_bytes", format!("{bytes} is less than {MIN_MEMORY}"));
        }
    };
    Ok(RunSettings {
        null_characters,
        reload_share: settings.reload_share,
        swap_share: settings.swap_share,
        reload_on_gap: settings.reload_on_gap.unwrap_or_default(),
        memory_bytes,
    })
}

pub(crate) fn stored(table: &SyncedTable) -> Result<SyncSettings> {
    serde_json::from_value(table.settings.clone())
        .map_err(|error| Error::internal("reading a synced table's settings", error))
}

/// For the next run.
pub(crate) fn of(table: &SyncedTable) -> Result<RunSettings> {
    read(&stored(table)?, "settings")
}

impl Control {
    pub async fn get_sync_settings(&self, name: &str) -> Result<SyncSettings> {
        let table = self.store.synced_table(name).await?;
        stored(&table.ok_or_else(|| Error::not_found("synced table", name))?)
    }

    /// Changes the settings that are given; the others stay.
    pub async fn update_sync_settings(
        &self,
        name: &str,
        changes: &SyncSettings,
    ) -> Result<SyncSettings> {
        check(Some(changes), "settings")?;
        let before = self.get_sync_settings(name).await?;
        let after = SyncSettings {
            null_characters: changes.null_characters.clone().or(before.null_characters),
            reload_share: changes.reload_share.or(before.reload_share),
            swap_share: changes.swap_share.or(before.swap_share),
            reload_on_gap: changes.reload_on_gap.or(before.reload_on_gap),
            memory_bytes: changes.memory_bytes.or(before.memory_bytes),
        };
        let json = serde_json::to_value(&after)
            .map_err(|error| Error::internal("writing a synced table's settings", error))?;
        if !self.store.set_synced_table_settings(name, &json).await? {
            return Err(Error::not_found("synced table", name));
        }
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_by_name() {
        let refused = |settings: SyncSettings| {
            check(Some(&settings), "settings").unwrap_err().message().to_owned()
        };
        let nul = SyncSettings { null_characters: Some("DROP".into()), ..Default::default() };
        assert!(refused(nul).starts_with("settings.null_characters"));
        let share = SyncSettings { reload_share: Some(1.5), ..Default::default() };
        assert!(refused(share).starts_with("settings.reload_share"));
        let memory = SyncSettings { memory_bytes: Some(1), ..Default::default() };
        assert!(refused(memory).starts_with("settings.memory_bytes"));
        let nan = SyncSettings { reload_share: Some(f64::NAN), ..Default::default() };
        assert!(refused(nan).starts_with("settings.reload_share"));
    }
}
