//! `lakeport completions` and `lakeport man`: both are made from the command line's own definition.

use std::fs;
use std::path::Path;

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::failure::Failure;
use crate::output::print;

pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lakeport", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}

pub(crate) fn man(args: &ManArgs) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    match &args.dir {
        Some(dir) => pages(&command, dir),
        None => print(&page(&command)?),
    }
}

/// A page for the command and each below it, named as `git-commit.1` is.
fn pages(command: &clap::Command, dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir)
        .map_err(Failure::while_doing(format!("make the directory {}", dir.display())))?;
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, page(command)?)
        .map_err(Failure::while_doing(format!("write {}", path.display())))?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, dir)?;
    }
    Ok(())
}

fn page(command: &clap::Command) -> Result<String, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(Failure::while_doing("make the manual"))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
