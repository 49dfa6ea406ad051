//! `lakeport instance …`: the instance commands of `lakeport database` in short words.

use super::database::instance as long;
use crate::args::ShortInstanceCommand;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, command: ShortInstanceCommand) -> Result<(), Failure> {
    match command {
        ShortInstanceCommand::Create(args) => long::create(context, *args).await,
        ShortInstanceCommand::Get(name) => long::get(context, name.get()).await,
        ShortInstanceCommand::List(page) => long::list(context, &page).await,
        ShortInstanceCommand::Start(args) => long::start(context, &args).await,
        ShortInstanceCommand::Stop(args) => long::stop(context, &args).await,
        ShortInstanceCommand::Delete(args) => long::delete(context, &args).await,
    }
}
