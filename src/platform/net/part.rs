//! A file from some byte on, as a server sends it, with everything that it says of that part checked.

use reqwest::{
    StatusCode,
    blocking::Response,
    header::{self, HeaderMap, HeaderName},
};

use super::{NetError, Paced};

/// A part of a file, from [`Part::start`] to its end.
#[derive(Debug)]
pub struct Part {
    /// Its first byte's offset in the file: the one that was asked for, or 0 when the server sends the whole file.
    pub start: u64,
    /// Bytes of the whole file, where the server says.
    pub total: Option<u64>,
    /// What `If-Range` can ask for later: a strong `ETag`, else `Last-Modified`.
    pub validator: Option<String>,
    pub body: Paced<Response>,
}

/// `Content-Range: bytes START-END/TOTAL`, the end included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ContentRange {
    start: u64,
    end: u64,
    total: Option<u64>,
}

impl Part {
    /// What `answer` is, to the question for `url` from byte `from` on.
    pub(super) fn of(answer: Paced<Response>, url: &str, from: u64) -> Result<Self, NetError> {
        let response = answer.get_ref();
        let headers = response.headers();
        if let Some(encoding) = text(headers, &header::CONTENT_ENCODING).filter(|it| *it != "identity") {
            return Err(NetError::Encoded { url: url.to_owned(), encoding: encoding.to_owned() });
        }
        let wrong = |problem| NetError::WrongPart { url: url.to_owned(), problem };
        let (start, total) = match response.status() {
            StatusCode::OK => (0, response.content_length()),
            StatusCode::PARTIAL_CONTENT => {
                let range = text(headers, &header::CONTENT_RANGE).unwrap_or_default();
                let range = ContentRange::parse(range)
                    .ok_or_else(|| wrong(format!("its `Content-Range` is `{range}`")))?;
                if from == 0 || range.start != from {
                    let problem = format!("it begins at byte {}, asked for was byte {from}", range.start);
                    return Err(wrong(problem));
                }
                (range.start, range.total)
            }
            status => return Err(NetError::Status { url: url.to_owned(), status, retry_after: None }),
        };
        let validator = validator(headers);
        Ok(Self { start, total, validator, body: answer })
    }
}

impl ContentRange {
    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (start, end) = range.split_once('-')?;
        let (start, end) = (start.parse().ok()?, end.parse().ok()?);
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        (start <= end && total.is_none_or(|total| end < total)).then_some(Self { start, end, total })
    }
}

/// A weak `ETag` stands for what only looks the same, and `If-Range` must not be asked with one.
fn validator(headers: &HeaderMap) -> Option<String> {
    let strong = text(headers, &header::ETAG).filter(|it| it.starts_with('"'));
    strong.or_else(|| text(headers, &header::LAST_MODIFIED)).map(str::to_owned)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_only_if_it_makes_sense() {
        let check = |text: &str, expected: Option<(u64, u64, Option<u64>)>| {
            let found = ContentRange::parse(text).map(|it| (it.start, it.end, it.total));
            assert_eq!(found, expected, "{text}");
        };
        check("bytes 5-9/10", Some((5, 9, Some(10))));
        check("bytes 5-9/*", Some((5, 9, None)));
        check("bytes 5-10/10", None);
        check("bytes 9-5/10", None);
        check("bytes */10", None);
        check("5-9/10", None);
        check("", None);
    }

    #[test]
    fn only_a_strong_etag_or_a_date_can_be_asked_with_later() {
        let check = |etag: &'static str, date: &'static str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::ETAG, etag), (header::LAST_MODIFIED, date)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().expect("a value"));
                }
            }
            assert_eq!(validator(&headers).as_deref(), expected);
        };
        check("\"a\"", "Sun", Some("\"a\""));
        check("W/\"a\"", "Sun", Some("Sun"));
        check("W/\"a\"", "", None);
        check("", "", None);
    }
}
