//! Names by which clients reach an instance; how they come about is the server's matter.

use async_trait::async_trait;
use lakeport_store::Instance;
use uuid::Uuid;

use crate::OpenSession;

/// What a host name says about an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostName {
    Uid(Uuid),
    Address(String),
}

#[async_trait]
pub trait Naming: Send + Sync {
    /// The address of its own that a new instance gets; none where names or one address serve all. It is
    /// free, but not held: another server may be faster. The error is for people.
    async fn free_address(&self) -> Result<Option<String>, String>;

    /// The bare host that clients connect to. None for an instance without the address that it needs,
    /// as old versions have left some that never started.
    fn read_write_dns(&self, instance: &Instance) -> Option<String>;

    /// The port of every host.
    fn port(&self) -> u16;

    /// Reads a host name that this naming may have given.
    fn parse(&self, host: &str) -> Option<HostName>;

    /// Whether the instance can be reached under its name already.
    fn announced(&self, instance: &Instance) -> bool;

    /// Makes the instance reachable; repeating it is fine. The error is for people.
    async fn announce(&self, instance: &Instance) -> Result<(), String>;

    /// Ends what `announce` began, and the sessions with it.
    async fn withdraw(&self, instance: &Instance);

    /// Ends the open sessions of an instance that stops.
    fn close_sessions(&self, instance: &Instance);

    /// Who has sessions open, each once.
    fn open_sessions(&self) -> Vec<OpenSession>;

    /// Ends the sessions of one principal as one role on one instance, by one token.
    fn end_sessions(&self, of: &OpenSession);
}
