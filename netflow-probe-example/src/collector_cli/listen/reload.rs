//! What SIGHUP has read again: the policy, databases of addresses, and what the configuration file says.

use std::{
    ffi::OsString,
    sync::{Arc, mpsc},
};

use clap::CommandFactory as _;

use super::{ListenArgs, worker::Ask};
use crate::{
    collector_cli::{Cli, sinks::Shared},
    config,
    service::Reload,
};

/// Reads the configuration file again, and says which keys of it are other than before, if there are any.
pub(in crate::collector_cli) type Configuration = Box<dyn FnMut() -> Result<Option<String>, String> + Send>;

/// Asks what of these arguments is other by now than what was in force `before`.
pub(in crate::collector_cli) fn configuration(arguments: &[OsString], before: String) -> Configuration {
    let arguments = arguments.to_vec();
    let mut before = before;
    Box::new(move || {
        let command = Cli::command();
        let told = config::parse(&command, &arguments).map_err(|error| error.to_string())?;
        let Some((name, matches)) = told.matches().subcommand() else { return Ok(None) };
        let Some(listen) = command.find_subcommand(name) else { return Ok(None) };
        let now = config::effective(listen, matches, &told);
        let changed = config::changed(&before, &now);
        before = now;
        Ok((!changed.is_empty()).then(|| changed.join(", ")))
    })
}

/// Reads again what holds at once. What cannot be understood stays as it was.
pub(super) fn reload(
    args: &ListenArgs,
    shared: Arc<Shared>,
    workers: Vec<mpsc::Sender<Ask>>,
    mut configuration: Configuration,
) -> Reload {
    let args = args.clone();
    Box::new(move || {
        let mut faults = Vec::new();
        if let Err(fault) = shared.reload() {
            faults.push(fault);
        }
        match args.policy() {
            Err(failure) => faults.push(format!("{failure}; the policy before stays")),
            Ok(policy) => {
                let policy = Arc::new(policy);
                for worker in &workers {
                    // One that has ended needs no policy.
                    let _ = worker.send(Ask::Policy(Arc::clone(&policy)));
                }
            }
        }
        let changed = configuration().unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        // Whoever reloads wants to know that it happened.
        let read = "the policy was read again; limits of the template cache hold from the next start on";
        Ok(changed.map_or_else(
            || read.to_owned(),
            |changed| format!("{read}; in force after a restart: {changed}"),
        ))
    })
}
