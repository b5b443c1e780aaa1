//! Paths, and what is answered there.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::{
    alerts::alerts,
    answers::{Answers, Asked},
    document::document,
    exporters,
    findings::Findings,
    guard::Guard,
    http::{Request, Response},
    parameters::{Parameters, Wrong},
    profiles::{Profile, Profiles},
};

/// What is served.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) answers: Answers,
    pub(super) profiles: Profiles,
    pub(super) findings: Findings,
    pub(super) health: Option<PathBuf>,
    pub(super) guard: Guard,
}

impl Interface {
    /// Answers a request: the page for all who call the server by its name, data only for those who may see it.
    pub(super) fn respond(&self, request: &Request) -> Response {
        if let Err(refused) = self.guard.check_host(request) {
            return refused;
        }
        let (path, parameters) = Parameters::of(&request.target);
        let method = match request.method.as_str() {
            "HEAD" => "GET",
            method => method,
        };
        if (method, path) == ("GET", "/") {
            return document();
        }
        if let Err(refused) = self.guard.check(request) {
            return refused;
        }
        let answer = match (method, path) {
            ("GET", "/api/status") => self.status(),
            ("GET", "/api/filter") => parameters.filter().map(|_| json!({})),
            ("GET", "/api/series") => self.answers.series(&parameters),
            ("GET", "/api/top") => self.answers.top(&parameters),
            ("GET", "/api/flows") => {
                return match self.answers.flows(&parameters) {
                    Ok(body) => Response::json(200, body),
                    Err(wrong) => refusal(&wrong),
                };
            }
            ("GET", "/api/exporters") => self.exporters(&parameters),
            ("GET", "/api/alerts") => self.alerts(&parameters),
            ("GET", "/api/ioc") => self.asked_of(&parameters, Findings::ioc),
            ("GET", "/api/attacks") => self.asked_of(&parameters, Findings::attacks),
            ("GET", "/api/profiles") => self.profiles.all().map(|profiles| self.profiles_json(&profiles)),
            ("PUT", "/api/profiles") => self.put_profile(&request.body),
            ("DELETE", "/api/profiles") => {
                let name = parameters.get("name").unwrap_or_default();
                self.profiles.delete(name).map(|profiles| self.profiles_json(&profiles))
            }
            ("GET" | "PUT" | "DELETE", _) => return Response::failure(404, "there is nothing of this name"),
            _ => return Response::failure(405, "GET, and for profiles PUT and DELETE, are understood"),
        };
        match answer {
            Ok(json) => Response::json(200, json.to_string()),
            Err(wrong) => refusal(&wrong),
        }
    }

    fn status(&self) -> Result<Json, Wrong> {
        let mut status = self.answers.span()?;
        if let Some(status) = status.as_object_mut() {
            status.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
            status.insert("can_save_profiles".to_owned(), self.profiles.can_change().into());
            status.insert("has_health".to_owned(), self.health.is_some().into());
            status.insert("has_indicators".to_owned(), self.findings.has_indicators().into());
        }
        Ok(status)
    }

    /// From the store, and what the collector says, if it is asked.
    fn exporters(&self, parameters: &Parameters) -> Result<Json, Wrong> {
        let mut answer = self.answers.exporters(parameters)?;
        if let (Some(path), Some(answer)) = (&self.health, answer.as_object_mut()) {
            match exporters::of_collector(path) {
                Ok(health) => answer.insert("health".to_owned(), health),
                Err(error) => answer.insert("health_error".to_owned(), error.into()),
            };
        }
        Ok(answer)
    }

    /// A search of the window that is asked for.
    fn asked_of(
        &self,
        parameters: &Parameters,
        search: impl FnOnce(&Findings, &Answers, Asked) -> Result<Json, Wrong>,
    ) -> Result<Json, Wrong> {
        search(&self.findings, &self.answers, self.answers.asked(parameters)?)
    }

    fn alerts(&self, parameters: &Parameters) -> Result<Json, Wrong> {
        alerts(&self.answers, self.answers.asked(parameters)?, &self.profiles.all()?)
    }

    fn put_profile(&self, body: &[u8]) -> Result<Json, Wrong> {
        let json = serde_json::from_slice(body).map_err(|error| Wrong::new(error.to_string()))?;
        let profiles = self.profiles.put(Profile::from_json(&json)?)?;
        Ok(self.profiles_json(&profiles))
    }

    fn profiles_json(&self, profiles: &[Profile]) -> Json {
        let profiles: Vec<_> = profiles.iter().map(Profile::to_json).collect();
        json!({ "profiles": profiles, "can_save": self.profiles.can_change() })
    }
}

/// What the sender did wrong.
fn refusal(wrong: &Wrong) -> Response {
    let (line, column) = wrong.place.unzip();
    let error = json!({ "message": wrong.message, "line": line, "column": column });
    Response::json(400, json!({ "error": error }).to_string())
}
