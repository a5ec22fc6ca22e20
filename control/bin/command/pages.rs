//! `rmqc-fast completions` and `rmqc-fast man`: what a shell and `man` want to know about the command line, made of its
//! one definition.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::say;

/// Prints a script that completes commands and flags in a shell.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  rmqc-fast completions bash > /etc/bash_completion.d/rmqc-fast\n  rmqc-fast \
                        completions zsh > ~/.zfunc/_rmqc-fast\n  rmqc-fast completions fish > \
                        ~/.config/fish/completions/rmqc-fast.fish")]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints it.
    pub fn run(&self) -> ExitCode {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "rmqc-fast", &mut script);
        say(String::from_utf8_lossy(&script).trim_end());
        ExitCode::SUCCESS
    }
}

/// Prints the manual page, or writes a page for every command into a directory.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  rmqc-fast man | man -l -\n  rmqc-fast man /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// Where to write the pages; it is created if it is not there.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    /// Prints or writes.
    ///
    /// # Errors
    /// A directory that can't be written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.dir {
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(Cli::command()).render(&mut page)?;
                say(String::from_utf8_lossy(&page).trim_end());
            }
            Some(dir) => {
                let what = || format!("cannot write manual pages to {}", dir.display());
                fs::create_dir_all(dir).with_context(what)?;
                clap_mangen::generate_to(Cli::command(), dir).with_context(what)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
