//! A survey as one HTML file that needs nothing else: the table, what is wrong, and of each bucket a sheet of its
//! items with what is cut off.

use std::collections::BTreeMap;

use crate::{
    config::Purpose,
    data::{
        Survey, Thumbnails,
        cut::{self, Key, Placed},
        media::Media,
    },
    output::{
        html::{escaped, push},
        plain,
    },
    platform::cores,
};

use super::table::{cut_off, in_order, name, proposed};

/// Pictures of one bucket; the rest is counted.
const PICTURES: usize = 24;

/// Pictures of all buckets together: about 40 kB each.
const MOST_PICTURES: usize = 400;

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
<title>dpgui data check</title>\n<style>\n\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1c2128;background:#fff}\n\
.wide{overflow-x:auto}h1{overflow-wrap:anywhere}table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right;white-space:nowrap}\
td:first-child,th:first-child{text-align:left}\n\
th{border-bottom:1px solid #8884}.error{color:#b3261e}.warning{color:#8a5a00}.sheet{display:flex;flex-wrap:wrap;gap:.7rem}\n\
figure{margin:0;width:160px}figcaption{font-size:11px;overflow-wrap:anywhere}svg{width:160px;max-height:220px;background:#8882}\n\
.bar{display:inline-block;height:.7em;background:#3b82c4;vertical-align:middle}.lost{background:#d08a2c}li{margin:.3rem 0}\n\
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#16181c}.error{color:#ff8a80}.warning{color:#ffc46b}}\n</style>\n";

/// In the first bytes of every report, by which a later one knows it.
pub(super) const MARK: &str = "<title>dpgui data check</title>";

/// The whole file.
pub(super) fn report(surveys: &[(Purpose, Survey)], pictures: &Thumbnails) -> String {
    let mut html = HEAD.to_owned();
    for (purpose, survey) in surveys {
        let of = if *purpose == Purpose::Evaluation { " (evaluation)" } else { "" };
        let file = escaped(&plain::name(&survey.dataset.file));
        let model = survey.model.name.map(|name| format!(", for <code>{name}</code>")).unwrap_or_default();
        push(&mut html, format_args!("<h1>{file}{of}{model}</h1>\n<p>{}</p>\n", escaped(&survey.summary())));
        table(&mut html, survey);
        findings(&mut html, survey);
        sheets(&mut html, survey, pictures);
    }
    html
}

fn table(html: &mut String, survey: &Survey) {
    html.push_str(
        "<div class=\"wide\"><table>\n<tr><th>bucket<th>files<th>samples<th>batch<th>trained<th>lost<th>cut off<th></tr>\n",
    );
    let cuts = cut::by_bucket(survey);
    let most = survey.epoch.buckets.iter().map(|it| it.before).max().unwrap_or(1).max(1);
    for it in in_order(survey) {
        let cut = cuts.get(&it.bucket.key()).copied().unwrap_or_default();
        let width = |samples: u64| u128::from(samples) * 240 / u128::from(most);
        push(
            html,
            format_args!(
                "<tr><td><a href=\"#{0}\">{0}</a><td>{1}<td>{2}<td>{3}<td>{4}<td>{5}<td>{6}<td style=\"text-align:left\">\
                 <span class=\"bar\" style=\"width:{7}px\"></span><span class=\"bar lost\" style=\"width:{8}px\"></span></tr>\n",
                name(it),
                it.items,
                it.before,
                it.global_batch,
                it.kept,
                it.lost(),
                escaped(&cut_off(&cut)),
                width(it.kept),
                width(it.lost()),
            ),
        );
    }
    html.push_str("</table></div>\n");
}

fn findings(html: &mut String, survey: &Survey) {
    html.push_str("<ul>\n");
    for finding in &survey.findings {
        let severity = finding.severity;
        let fix = finding.fix.as_ref().map(|it| format!("<br>fix: {}", escaped(it))).unwrap_or_default();
        let message = escaped(&finding.message);
        push(html, format_args!("<li><b class=\"{severity}\">{severity}</b> {message}{fix}\n"));
    }
    for proposal in survey.proposals() {
        push(html, format_args!("<li>to lose less to rounding: {}\n", escaped(&proposed(proposal))));
    }
    html.push_str("</ul>\n");
}

fn sheets(html: &mut String, survey: &Survey, pictures: &Thumbnails) {
    let mut by_bucket: BTreeMap<Key, (Vec<Placed>, usize)> = BTreeMap::new();
    let mut left = MOST_PICTURES;
    cut::each_placed(survey, |place| {
        let (shown, all) = by_bucket.entry(place.bucket.key()).or_default();
        *all += 1;
        if shown.len() < PICTURES && left > 0 {
            shown.push(place);
            left -= 1;
        }
    });
    for filled in in_order(survey) {
        let Some((shown, all)) = by_bucket.get(&filled.bucket.key()) else { continue };
        let more = match all - shown.len() {
            0 => String::new(),
            more => format!(" <small>{more} more are not shown</small>"),
        };
        push(html, format_args!("<h2 id=\"{0}\">{0}{more}</h2>\n<div class=\"sheet\">\n", name(filled)));
        for figure in cores::map(shown, |place| figure(survey, place, pictures)) {
            html.push_str(&figure);
        }
        html.push_str("</div>\n");
    }
}

/// A picture, dark where it is cut off.
fn figure(survey: &Survey, place: &Placed, pictures: &Thumbnails) -> String {
    let folder = &survey.directories[place.directory].path;
    let Some((width, height)) = place.item.media.as_ref().and_then(Media::size) else { return String::new() };
    let [left, top, right, bottom] = place.crop;
    let stroke = f64::from(width.max(height)) / 80.0;
    // An empty tile would look like a fault of the file.
    let (picture, without) = match pictures.of(&folder.join(&place.item.name)) {
        Ok(png) => {
            let data = base64(&png);
            let picture = format!(
                "<image href=\"data:image/png;base64,{data}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\"/>"
            );
            (picture, String::new())
        }
        Err(why) => (no_picture(width, height), format!("<br>no picture: {}", escaped(why.sentence()))),
    };
    let label = escaped(&plain::name(&place.item.name));
    let length = match &place.item.media {
        Some(Media::Video { .. }) => format!(", {} frames", place.item.frames),
        _ => String::new(),
    };
    format!(
        "<figure><svg viewBox=\"0 0 {width} {height}\">{picture}<path fill=\"#000a\" fill-rule=\"evenodd\" \
         d=\"M0 0H{width}V{height}H0ZM{left:.1} {top:.1}H{right:.1}V{bottom:.1}H{left:.1}Z\"/>\
         <rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"none\" stroke=\"#3b82c4\" \
         stroke-width=\"{stroke:.1}\"/></svg><figcaption>{label}<br>{width}×{height}{length}{without}</figcaption></figure>\n",
        right - left,
        bottom - top,
    )
}

/// Words in place of it, as large as they fit.
fn no_picture(width: u32, height: u32) -> String {
    let size = (f64::from(width) / 6.0).min(f64::from(height) / 2.0);
    format!(
        "<text x=\"50%\" y=\"50%\" text-anchor=\"middle\" dominant-baseline=\"middle\" font-size=\"{size:.1}\" fill=\"#888\">no picture</text>"
    )
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let all =
            (0..3).fold(0_u32, |all, index| all << 8 | u32::from(chunk.get(index).copied().unwrap_or(0)));
        for index in 0..4 {
            let letter = LETTERS[(all >> (18 - 6 * index) & 63) as usize];
            text.push(if index > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_base64() {
        let check = |bytes: &str, expected| assert_eq!(base64(bytes.as_bytes()), expected);
        check("", "");
        check("f", "Zg==");
        check("fo", "Zm8=");
        check("foo", "Zm9v");
        check("foobar", "Zm9vYmFy");
    }

    #[test]
    fn a_name_cannot_break_out_of_its_place() {
        assert_eq!(escaped("<img src=\"x\">&"), "&lt;img src=&quot;x&quot;&gt;&amp;");
    }
}
