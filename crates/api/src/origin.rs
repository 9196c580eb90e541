//! Origins: under what a relay is reached, compared as what they mean and not as they are written.

use std::{fmt, str::FromStr};

use thiserror::Error;
use tonic::codegen::http::Uri;

/// A scheme, a host and a port, written in one way: lower case, with the port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(String);

/// The text is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an origin is http or https, a host, and a port unless it is the scheme's own: https://post.example, no path")]
pub struct NotAnOrigin;

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let uri: Uri = text.parse().map_err(|_| NotAnOrigin)?;
        let scheme = uri.scheme_str().map(str::to_ascii_lowercase).ok_or(NotAnOrigin)?;
        let default_port = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return Err(NotAnOrigin),
        };
        let authority = uri.authority().ok_or(NotAnOrigin)?;
        let host = authority.host().to_ascii_lowercase();
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => default_port,
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or(NotAnOrigin)?,
            None => return Err(NotAnOrigin), // someone's name stands before the host
        };
        let is_bare = text.len() == scheme.len() + "://".len() + authority.as_str().len();
        if host.is_empty() || port == 0_u16 || !is_bare {
            return Err(NotAnOrigin);
        }
        Ok(Self(format!("{scheme}://{host}:{port}")))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_origin_written_in_several_ways_is_one() {
        for (texts, meaning) in [
            (
                &["https://post.example", "HTTPS://Post.Example", "https://post.example:443"][..],
                "https://post.example:443",
            ),
            (&["http://localhost", "http://LOCALHOST:80", "http://localhost:0080"], "http://localhost:80"),
            (&["http://[2001:DB8::1]:7117", "http://[2001:db8::1]:7117"], "http://[2001:db8::1]:7117"),
        ] {
            for text in texts {
                assert_eq!(text.parse::<Origin>().map(|origin| origin.to_string()).as_deref(), Ok(meaning), "{text}");
            }
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_none() {
        for text in [
            "",
            "post.example",
            "post.example:443",
            "ftp://post.example",
            "https://",
            "https://:443",
            "https://post.example/",
            "https://post.example/path",
            "https://post.example?query",
            "https://name@post.example",
            "https://a:b@post.example",
            "https://post.example:0",
            "https://post.example:65536",
            "https://post.example:",
            "https://post.example:port",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(NotAnOrigin), "{text}");
        }
    }
}
