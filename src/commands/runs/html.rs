//! Runs as one HTML file that needs nothing else: what they were, what was set otherwise, their losses.

use crate::{
    metrics::figures,
    output::html::{escaped, push},
    run::comparison::{Account, Difference},
};

use super::show::{kept, rows, settings};

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
<title>dpgui runs</title>\n<style>\n\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1c2128;background:#fff}\n\
.wide{overflow-x:auto}table{border-collapse:collapse}td{padding:.2rem .8rem;vertical-align:top}td:first-child{color:#57606a}\n\
tr+tr td{border-top:1px solid #8883}svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:currentColor}\n\
pre{overflow-x:auto;background:#8881;padding:.6rem}span,td:first-child{white-space:nowrap}i{display:inline-block;width:.8em;height:.8em;margin:0 .4em 0 1em}\n\
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#16181c}td:first-child{color:#9da7b3}}\n</style>\n";

/// In the first bytes of every report, by which a later one knows it.
pub(super) const MARK: &str = "<title>dpgui runs</title>";

/// Told apart by people who see colours differently too. Source: Okabe and Ito, "Color universal design".
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];

/// The chart, in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 28.0;

/// Points of a curve: more than there are pixels help nobody.
const POINTS: usize = 800;

/// The whole file; `about` says where and when.
pub(super) fn report(accounts: &[Account], differences: &[Difference], about: &str) -> String {
    let mut html = HEAD.to_owned();
    push(&mut html, format_args!("<h1>Runs</h1>\n<p>{}</p>\n", escaped(about)));
    table(&mut html, &rows(accounts));
    chart(&mut html, accounts);
    if !differences.is_empty() {
        html.push_str("<h2>Set otherwise</h2>\n");
        table(&mut html, &settings(differences));
    }
    for account in accounts {
        let lines = kept(&account.contents);
        let why = account.diagnosis.as_ref().map(ToString::to_string);
        if lines.is_empty() && why.is_none() {
            continue;
        }
        push(&mut html, format_args!("<h2>{}</h2>\n", escaped(&account.run.to_string())));
        for text in why.into_iter().chain((!lines.is_empty()).then(|| lines.join("\n"))) {
            push(&mut html, format_args!("<pre>{}</pre>\n", escaped(&text)));
        }
    }
    html
}

fn table(html: &mut String, rows: &[Vec<String>]) {
    html.push_str("<div class=\"wide\"><table>\n");
    for row in rows {
        html.push_str("<tr>");
        for cell in row {
            push(html, format_args!("<td>{}", escaped(cell)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
}

/// The smoothed losses over the steps, all runs on one pair of axes.
fn chart(html: &mut String, accounts: &[Account]) {
    let curves: Vec<Vec<(f64, f64)>> = accounts.iter().map(curve).collect();
    let points = || curves.iter().flatten();
    if points().count() < 2 {
        return;
    }
    let range = |of: fn(&(f64, f64)) -> f64| {
        let (low, high) =
            points().map(of).fold((f64::MAX, f64::MIN), |(low, high), it| (low.min(it), high.max(it)));
        (low, if high > low { high } else { low + 1.0 })
    };
    let ((first, last), (low, high)) = (range(|it| it.0), range(|it| it.1));
    let x = |step: f64| LEFT + (step - first) / (last - first) * (WIDTH - LEFT);
    let y = |loss: f64| (HEIGHT - BOTTOM) * (1.0 - (loss - low) / (high - low)) + 8.0;
    push(
        html,
        format_args!(
            "<h2>Loss, smoothed</h2>\n<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\">\n",
            HEIGHT + 12.0
        ),
    );
    for (loss, text) in marks(low, high) {
        push(
            html,
            format_args!(
                "<path d=\"M{LEFT} {0:.1}H{WIDTH}\" stroke=\"#8884\"/><text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{text}</text>\n",
                y(loss),
                LEFT - 8.0,
                y(loss) + 4.0,
            ),
        );
    }
    for (step, anchor) in [(first, "start"), (last, "end")] {
        push(
            html,
            format_args!(
                "<text x=\"{:.1}\" y=\"{HEIGHT}\" text-anchor=\"{anchor}\">step {step}</text>\n",
                x(step)
            ),
        );
    }
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let path: Vec<String> =
            curve.iter().map(|(step, loss)| format!("{:.1},{:.1}", x(*step), y(*loss))).collect();
        push(
            html,
            format_args!(
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>\n",
                path.join(" ")
            ),
        );
    }
    html.push_str("</svg>\n<p>");
    for (account, colour) in accounts.iter().zip(COLOURS.iter().cycle()) {
        let name = escaped(&account.run.to_string());
        let gaps = figures::without_number(&account.measures.steps);
        let gaps = gaps.map(|it| format!(": {it}")).unwrap_or_default();
        push(html, format_args!("<span><i style=\"background:{colour}\"></i>{name}{gaps}</span> "));
    }
    html.push_str("</p>\n");
}

/// Three to six round values from `low` to `high`, with as many digits as tell them apart.
fn marks(low: f64, high: f64) -> Vec<(f64, String)> {
    let rough = (high - low) / 5.0;
    let power = rough.log10().floor();
    let unit = 10_f64.powf(power);
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|it| it * unit).find(|it| *it >= rough).unwrap_or(rough);
    // `{:.0$}` takes a count.
    let digits = (0..12).find(|it| step * 10_f64.powi(*it) > 0.99).unwrap_or(12).unsigned_abs() as usize;
    let first = (low / step).ceil() * step;
    (0..8)
        .map(|it| f64::from(it).mul_add(step, first))
        .take_while(|it| *it <= step.mul_add(1e-6, high))
        .map(|it| (it, format!("{it:.digits$}")))
        .collect()
}

/// Step and smoothed loss.
fn curve(account: &Account) -> Vec<(f64, f64)> {
    let steps = &account.measures.steps;
    let losses = figures::smoothed(steps.iter().map(|it| it.loss));
    #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
    let points: Vec<(f64, f64)> = steps.iter().map(|it| it.step as f64).zip(losses).collect();
    let every = points.len().div_ceil(POINTS).max(1);
    points.into_iter().step_by(every).filter(|(_, loss)| loss.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_marks() {
        let texts = |low, high| marks(low, high).into_iter().map(|it| it.1).collect::<Vec<_>>();
        assert_eq!(texts(0.9340, 1.2073), ["1.0", "1.1", "1.2"]);
        assert_eq!(texts(0.0, 0.05), ["0.00", "0.01", "0.02", "0.03", "0.04", "0.05"]);
        assert_eq!(texts(3.0, 4200.0), ["1000", "2000", "3000", "4000"]);
        assert_eq!(texts(0.5, 1.5), ["0.6", "0.8", "1.0", "1.2", "1.4"]);
    }
}
