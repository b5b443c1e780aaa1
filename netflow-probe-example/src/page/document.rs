//! The page itself: its parts put together, and what it may load.

use super::{guard::random_token, http::Response};

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
/// In the order in which they build upon one another.
const SCRIPTS: [&str; 6] = [
    include_str!("basics.js"),
    include_str!("chart.js"),
    include_str!("tables.js"),
    include_str!("health.js"),
    include_str!("findings.js"),
    include_str!("page.js"),
];

/// The page. Only the style and the script in it are let work, marked by a number used once, and it may talk to this
/// server alone.
pub(super) fn document() -> Response {
    let Ok(nonce) = random_token() else { return Response::failure(500, "no random octets") };
    let body = FRAME
        .replace("{{nonce}}", &nonce)
        .replace("{{style}}", STYLE)
        .replace("{{script}}", &SCRIPTS.join("\n"));
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Response { status: 200, content_type: "text/html", content_policy: Some(policy), body: body.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_whole_and_loads_nothing_from_elsewhere() {
        let response = document();
        let text = String::from_utf8(response.body).unwrap();
        let policy = response.content_policy.unwrap();
        assert!(!text.contains("{{") && text.ends_with("</html>\n"));
        let nonce = text.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(nonce.len() == 32 && policy.contains(nonce) && !policy.contains("unsafe"));
        let namespace = "http://www.w3.org/2000/svg";
        let rest = text.replace(namespace, "");
        for outside in ["http://", "https://", "src=", "@import", "url(", "innerHTML", "eval("] {
            assert!(!rest.contains(outside), "{outside}");
        }
    }
}
