//! Giving up privileges.

use std::ffi::CString;

use nix::{
    errno::Errno,
    sys::prctl::set_no_new_privs,
    unistd::{
        Gid, Group, Uid, User, getgrouplist, getresgid, getresuid, setgroups, setresgid, setresuid, setuid,
    },
};

use super::ServiceOptions;

/// Becomes the user and the group of the options, with the other groups of that user, and gives up the possibility to
/// gain privileges again. Without `--user` nothing happens.
///
/// # Errors
///
/// When the user or the group is not known, the program may not become them, or it could still go back.
pub fn drop_privileges(options: &ServiceOptions) -> Result<(), PrivilegeError> {
    let Some(name) = &options.user else { return Ok(()) };
    let user = Identity::of(name, options.group.as_deref())?;
    let failed = |what: &'static str| move |errno: Errno| PrivilegeError::Refused { what, errno };
    // Groups first: afterwards it could not be done any more.
    if !setgroups_is_needless(&user) {
        setgroups(&user.groups).map_err(failed("set the groups"))?;
    }
    setresgid(user.group, user.group, user.group).map_err(failed("become the group"))?;
    setresuid(user.id, user.id, user.id).map_err(failed("become the user"))?;
    // Holds for threads that begin later, which is enough: nothing is executed.
    set_no_new_privs().map_err(failed("give up new privileges"))?;
    user.verify()
}

/// Who has these groups already needs no privilege for them.
fn setgroups_is_needless(user: &Identity) -> bool {
    let sorted = |mut groups: Vec<Gid>| {
        groups.sort_by_key(|group| group.as_raw());
        groups.dedup();
        groups
    };
    let now = nix::unistd::getgroups().map(sorted);
    !Uid::effective().is_root() && now.is_ok_and(|now| now == sorted(user.groups.clone()))
}

struct Identity {
    id: Uid,
    group: Gid,
    groups: Vec<Gid>,
}

impl Identity {
    fn of(name: &str, group: Option<&str>) -> Result<Self, PrivilegeError> {
        let failed = |errno: Errno| PrivilegeError::Refused { what: "look up the user", errno };
        let known = match name.parse() {
            Ok(number) => User::from_uid(Uid::from_raw(number)).map_err(failed)?,
            Err(_) => User::from_name(name).map_err(failed)?,
        };
        let id = match (&known, name.parse()) {
            (Some(user), _) => user.uid,
            (None, Ok(number)) => Uid::from_raw(number),
            (None, Err(_)) => return Err(PrivilegeError::UnknownUser(name.to_owned())),
        };
        let chosen = group.map(group_of).transpose()?;
        let gid = chosen.or_else(|| known.as_ref().map(|user| user.gid));
        let gid = gid.ok_or_else(|| PrivilegeError::NoGroup(name.to_owned()))?;
        // With a group that was chosen, that alone.
        let groups = match (&known, chosen) {
            (Some(user), None) => {
                let name = CString::new(user.name.as_str()).unwrap_or_default();
                getgrouplist(&name, gid).map_err(failed)?
            }
            _ => vec![gid],
        };
        Ok(Self { id, group: gid, groups })
    }

    /// Makes sure that there is no way back.
    fn verify(&self) -> Result<(), PrivilegeError> {
        let kept = |what: &'static str| PrivilegeError::Kept { what };
        let users = getresuid().map_err(|_| kept("the user is not known"))?;
        if [users.real, users.effective, users.saved] != [self.id; 3] {
            return Err(kept("the user is another"));
        }
        let groups = getresgid().map_err(|_| kept("the group is not known"))?;
        if [groups.real, groups.effective, groups.saved] != [self.group; 3] {
            return Err(kept("the group is another"));
        }
        if !self.id.is_root() && setuid(Uid::from_raw(0)).is_ok() {
            return Err(kept("it could become root again"));
        }
        Ok(())
    }
}

fn group_of(name: &str) -> Result<Gid, PrivilegeError> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    let group = Group::from_name(name)
        .map_err(|errno| PrivilegeError::Refused { what: "look up the group", errno })?;
    group.map(|group| group.gid).ok_or_else(|| PrivilegeError::UnknownGroup(name.to_owned()))
}

/// Privileges could not be given up.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// There is no such user.
    #[error("--user {0}: there is no such user")]
    UnknownUser(String),
    /// There is no such group.
    #[error("--group {0}: there is no such group")]
    UnknownGroup(String),
    /// A number that is nobody's has no group.
    #[error("--user {0}: nobody has this number, so --group is needed")]
    NoGroup(String),
    /// The system does not allow it.
    #[error(
        "--user: cannot {what}: {errno}; only root, or a program with CAP_SETUID and CAP_SETGID, may become somebody else"
    )]
    Refused {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        errno: Errno,
    },
    /// It seemed to work and did not.
    #[error("--user: privileges were not given up: {what}")]
    Kept {
        /// In what way.
        what: &'static str,
    },
}
