//! Points in time as people type them.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

use crate::error::{Error, Kind};

/// `10m` is that long ago; a time is today's, where this machine is; and what dpgui prints is understood too.
pub(super) fn parse(text: &str, now: Timestamp) -> Result<Timestamp, Error> {
    in_zone(text, now, &TimeZone::system()).ok_or_else(|| {
        Error::new(Kind::Usage, format!("`{text}` is no point in time"))
            .with_hint("say how long ago, as `10m`, `2h` or `1d`, or when, as `10:00` or `2026-11-27T10:00`")
    })
}

fn in_zone(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(exact) = text.parse() {
        return Some(exact);
    }
    // `10:00:30` would be a duration to the parser.
    if let Some(ago) = duration(text).filter(|_| !text.contains(':')) {
        return now.checked_sub(ago).ok();
    }
    // To the parser a bare number is a time as well, and so is the end of a whole date.
    let is_time =
        text.contains(':') && text.bytes().all(|it| it.is_ascii_digit() || matches!(it, b':' | b'.'));
    let at = if is_time {
        now.to_zoned(zone.clone()).date().to_datetime(text.parse().ok()?)
    } else {
        text.parse::<civil::DateTime>().ok().filter(|_| text.contains('-'))?
    };
    Some(at.to_zoned(zone.clone()).ok()?.timestamp())
}

/// `90s`, `1h30m`; days are 24 hours here.
fn duration(text: &str) -> Option<SignedDuration> {
    if let Some(days) = text.strip_suffix('d') {
        let days: i64 = days.parse().ok().filter(|days| *days >= 0)?;
        return Some(SignedDuration::from_secs(days.checked_mul(86400)?));
    }
    let begins = text.starts_with(|first: char| first.is_ascii_digit());
    text.parse().ok().filter(|_| begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_understood_as_people_and_we_write_them() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let now: Timestamp = "2026-11-27T09:30:00Z".parse().expect("a time");
        let check = |text: &str, expected: Option<&str>| {
            let expected = expected.map(|it| it.parse().expect("a time"));
            assert_eq!(in_zone(text, now, &zone), expected, "{text}");
        };
        check("10m", Some("2026-11-27T09:20:00Z"));
        check("1h30m", Some("2026-11-27T08:00:00Z"));
        check("1d", Some("2026-11-26T09:30:00Z"));
        check("10:00", Some("2026-11-27T08:00:00Z"));
        check("10:00:30", Some("2026-11-27T08:00:30Z"));
        check("2026-11-27T10:00", Some("2026-11-27T08:00:00Z"));
        check("2025-03-04 10:00:30", Some("2025-03-04T08:00:30Z"));
        check("2030-01-01T00:00", Some("2029-12-31T22:00:00Z"));
        check("2025-03-04", Some("2025-03-03T22:00:00Z"));
        check("2026-11-27T10:00:00.123Z", Some("2026-11-27T10:00:00.123Z"));
        for wrong in ["", "m", "-1m", "ten", "25:00", "25:00:00", "10", "10y", "é", "10:00+05:00"] {
            check(wrong, None);
        }
    }
}
