//! What comes with the programs in packages: completions for shells, and manual pages.

use std::{fs, io, path::PathBuf};

use clap::{Command, Subcommand};
use clap_complete::Shell;

/// Makers of what comes with a program.
#[derive(Clone, Debug, Subcommand)]
pub enum Package {
    /// Print completions for a shell.
    #[command(hide = true)]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write manual pages, one for the program and one for each of its subcommands.
    #[command(hide = true)]
    Man {
        /// The directory to write them to, which is made when it is not there; without it the page of the program is printed.
        directory: Option<PathBuf>,
    },
}

impl Package {
    /// Writes what was asked for.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn print(&self, mut command: Command) -> io::Result<()> {
        match self {
            Self::Completions { shell } => {
                let name = command.get_name().to_owned();
                let mut text = Vec::new();
                clap_complete::generate(*shell, &mut command, name, &mut text);
                io::Write::write_all(&mut io::stdout(), &text)
            }
            Self::Man { directory: Some(directory) } => {
                let failed = |error: io::Error| {
                    io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
                };
                fs::create_dir_all(directory).map_err(failed)?;
                clap_mangen::generate_to(command, directory).map_err(failed)
            }
            Self::Man { directory: None } => clap_mangen::Man::new(command).render(&mut io::stdout()),
        }
    }
}
