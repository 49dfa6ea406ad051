//! Who the caller is.

use lakeport_api::scim::User;

use crate::http::Call;
use crate::{Client, Document, Result};

impl Client {
    /// Its `user_name` is the PostgreSQL user.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn current_user(&self) -> Result<Document<User>> {
        let path = ["api", "2.0", "preview", "scim", "v2", "Me"];
        self.fetch(Call::get(String::from("ask who the caller is"), path)).await
    }
}
