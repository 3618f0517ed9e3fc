//! Byte counts and durations as people read them.

use std::time::Duration;

/// `812 B`, `56.1 MiB`: binary units, three digits.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// The reverse, as people write it: `30 GB`, `1.5 GiB`, `800MB`, `0`.
pub fn parse(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 10] = [
        ("", 1),
        ("B", 1),
        ("KB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text[..text.len() - digits.len()].parse().ok()?;
    let (_, unit) = UNITS.into_iter().find(|(name, _)| digits.trim().eq_ignore_ascii_case(name))?;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a limit, of which the digits behind the fifteenth do not matter; it has no sign"
    )]
    let bytes = (number * unit as f64) as u64;
    Some(bytes)
}

/// `0.42 s`, `12 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.2} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// The same in whole seconds, of which more would only seem to be known.
pub fn whole(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..10 => format!("{seconds} s"),
        _ => self::duration(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_and_the_unit_people_use() {
        let check = |count, expected: &str| assert_eq!(bytes(count), expected);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.00 KiB");
        check(57_510_549, "54.8 MiB");
        check(1023 * 1024, "1.00 MiB");
        check(3 << 30, "3.00 GiB");
    }

    #[test]
    fn sizes_are_read_with_either_kind_of_unit() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(parse(text), expected, "{text}");
        check("30 GB", Some(30_000_000_000));
        check("1.5GiB", Some(3 << 29));
        check("512 KiB", Some(512 << 10));
        check("800 mb", Some(800_000_000));
        check("17", Some(17));
        check("0", Some(0));
        check("", None);
        check("GB", None);
        check("-1 GB", None);
        check("1 GBit", None);
        check("1.2.3 GB", None);
    }

    #[test]
    fn durations_get_coarser_as_they_get_longer() {
        let check = |millis, expected: &str| assert_eq!(duration(Duration::from_millis(millis)), expected);
        check(420, "0.42 s");
        check(12_900, "12 s");
        check(200_000, "3 min 20 s");
        check(7_500_000, "2 h 05 min");
    }
}
