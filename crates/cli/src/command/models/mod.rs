//! Models: serving one here, with the databases that it declares.

mod credentials;
mod mlmodel;
mod serve;

use crate::args::ModelsCommand;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, command: ModelsCommand) -> Result<(), Failure> {
    match command {
        ModelsCommand::Serve(args) => serve::serve(context, &args).await,
    }
}
