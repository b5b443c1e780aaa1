//! Profiles: filters with names, kept in a small file.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
};

use serde_json::{Value, json};

use super::parameters::{Wrong, parse_filter};

/// A filter with a name, and when it gives an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Which flows.
    pub filter: String,
    /// When there is too much of it.
    pub alert: Option<Alert>,
}

/// A threshold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Alert {
    /// Of what.
    pub measure: Measure,
    /// More of it in a second is too much.
    pub above: u64,
}

/// What a threshold is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Measure {
    /// Bits per second.
    Bits,
    /// Packets per second.
    Packets,
    /// Flows that begin in a second.
    Flows,
}

impl Measure {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bits => "bits",
            Self::Packets => "packets",
            Self::Flows => "flows",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Bits, Self::Packets, Self::Flows].into_iter().find(|measure| measure.name() == text)
    }
}

impl Profile {
    /// From a JSON object.
    pub(super) fn from_json(json: &Value) -> Result<Self, Wrong> {
        let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::trim).unwrap_or_default();
        let (name, filter) = (text("name"), text("filter"));
        if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
            return Err(Wrong::new("the name of a profile has 1 to 64 characters"));
        }
        if filter.len() > 4_096 {
            return Err(Wrong::new("the filter of a profile has 4096 octets at most"));
        }
        parse_filter(filter)?;
        let alert = match json.get("alert").filter(|alert| !alert.is_null()) {
            None => None,
            Some(alert) => {
                let measure = alert.get("measure").and_then(Value::as_str).and_then(Measure::parse);
                let measure = measure.ok_or_else(|| Wrong::new("an alert is of bits, packets or flows"))?;
                let above = alert.get("above").and_then(Value::as_u64);
                let above = above.ok_or_else(|| Wrong::new("the threshold of an alert is a whole number"))?;
                Some(Alert { measure, above })
            }
        };
        Ok(Self { name: name.to_owned(), filter: filter.to_owned(), alert })
    }

    pub(super) fn to_json(&self) -> Value {
        let alert =
            self.alert.map(|Alert { measure, above }| json!({ "measure": measure.name(), "above": above }));
        json!({ "name": self.name, "filter": self.filter, "alert": alert })
    }
}

/// The profiles of a file.
#[derive(Debug)]
pub(super) struct Profiles {
    path: Option<PathBuf>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Profiles {
    /// Profiles, at most.
    const MOST: usize = 100;
    /// Octets of their file, at most.
    const OCTETS: u64 = 1 << 20;

    pub(super) const fn new(path: Option<PathBuf>) -> Self {
        Self { path, changing: Mutex::new(()) }
    }

    pub(super) const fn can_change(&self) -> bool {
        self.path.is_some()
    }

    /// All of them, by name.
    pub(super) fn all(&self) -> Result<Vec<Profile>, Wrong> {
        match &self.path {
            None => Ok(Vec::new()),
            Some(path) => read(path).map_err(|error| Wrong::new(format!("{}: {error}", path.display()))),
        }
    }

    /// Adds a profile, or puts it in the place of the one of its name.
    pub(super) fn put(&self, profile: Profile) -> Result<Vec<Profile>, Wrong> {
        self.change(|profiles| {
            profiles.retain(|known| known.name != profile.name);
            if profiles.len() >= Self::MOST {
                return Err(Wrong::new(format!("there are {} profiles already", Self::MOST)));
            }
            profiles.push(profile);
            Ok(())
        })
    }

    /// Takes the profile of this name out.
    pub(super) fn delete(&self, name: &str) -> Result<Vec<Profile>, Wrong> {
        self.change(|profiles| {
            let before = profiles.len();
            profiles.retain(|known| known.name != name);
            if profiles.len() < before {
                Ok(())
            } else {
                Err(Wrong::new(format!("there is no profile `{name}`")))
            }
        })
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Vec<Profile>) -> Result<(), Wrong>,
    ) -> Result<Vec<Profile>, Wrong> {
        let Some(path) = &self.path else {
            return Err(Wrong::new("profiles cannot be saved: the server was started without --profiles"));
        };
        let _changing = self.changing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut profiles = self.all()?;
        change(&mut profiles)?;
        profiles.sort_by(|a, b| a.name.cmp(&b.name));
        write(path, &profiles).map_err(|error| Wrong::new(format!("{}: {error}", path.display())))?;
        Ok(profiles)
    }
}

/// A file that is not there has none.
fn read(path: &Path) -> io::Result<Vec<Profile>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut text = String::new();
    file.take(Profiles::OCTETS).read_to_string(&mut text)?;
    let json: Value = serde_json::from_str(&text)?;
    let profiles = json.get("profiles").and_then(Value::as_array);
    let profiles = profiles.ok_or_else(|| io::Error::other("there is no list `profiles` in it"))?;
    let profile = |json| Profile::from_json(json).map_err(|wrong| io::Error::other(wrong.message));
    profiles.iter().take(Profiles::MOST).map(profile).collect()
}

/// The file is the old one or the new one at any moment.
fn write(path: &Path, profiles: &[Profile]) -> io::Result<()> {
    let json = json!({ "profiles": profiles.iter().map(Profile::to_json).collect::<Vec<_>>() });
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let mut file = File::create(&temporary)?;
    writeln!(file, "{json:#}")?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str, filter: &str) -> Result<Profile, Wrong> {
        Profile::from_json(
            &json!({ "name": name, "filter": filter, "alert": { "measure": "bits", "above": 7 } }),
        )
    }

    #[test]
    fn profiles_are_kept_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profiles.json");
        let profiles = Profiles::new(Some(path.clone()));
        assert_eq!(profiles.all(), Ok(Vec::new()));
        profiles.put(profile("web", "port 80").unwrap()).unwrap();
        profiles.put(profile("dns", "udp and port 53").unwrap()).unwrap();
        profiles.put(profile("web", "port 443").unwrap()).unwrap();
        let again = Profiles::new(Some(path.clone())).all().unwrap();
        assert_eq!(again, [profile("dns", "udp and port 53").unwrap(), profile("web", "port 443").unwrap()]);
        assert_eq!(profiles.delete("dns").unwrap().len(), 1);
        assert!(profiles.delete("dns").unwrap_err().message.contains("`dns`"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        // What somebody has damaged is told and left alone.
        fs::write(&path, "{\"profiles\": [{\"name\": \"x\", \"filter\": \"port eighty\"}]}").unwrap();
        assert!(profiles.put(profile("y", "any").unwrap()).unwrap_err().message.contains("eighty"));
        assert!(fs::read_to_string(&path).unwrap().contains("eighty"));
    }

    #[test]
    fn what_is_no_profile_is_refused() {
        assert!(profile("", "any").is_err() && profile(&"x".repeat(65), "any").is_err());
        assert_eq!(profile("x", "port eighty").unwrap_err().place, Some((1, 6)));
        assert!(
            Profile::from_json(&json!({ "name": "x", "alert": { "measure": "cows", "above": 1 } })).is_err()
        );
        assert!(
            Profile::from_json(&json!({ "name": "x", "alert": { "measure": "bits", "above": -1 } })).is_err()
        );
        assert!(Profiles::new(None).put(profile("x", "any").unwrap()).is_err());
    }
}
