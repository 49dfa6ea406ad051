//! `lakeport keys …`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Sign tokens with a new key from now on; for administrators of a Lakeport server
    ///
    /// The old key verifies until the tokens that it has signed have expired.
    Rotate,
}
