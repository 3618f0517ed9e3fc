//! How a run looks on a terminal of any size: the more room, the more of it.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    symbols::{Marker, line},
    text::{Line, Span},
    widgets::{Axis, Chart, Dataset, GraphType, LineGauge, Paragraph},
};

use crate::{
    metrics::figures,
    output::size,
    platform::gpu::{GpuSample, Throttle},
    run::scene::{Room, Scene},
};

use super::prompt::{KEYS, Prompt, SHORT_KEYS};

/// Lines that a curve needs to say anything.
const LOWEST_CHART: u16 = 6;

/// Lines of the log where there is not much room.
const FEW_LINES: u16 = 4;

/// Lines for a sentence.
const PROSE_LINES: usize = 3;

pub(super) struct View<'a> {
    pub(super) scene: &'a Scene,
    pub(super) prompt: &'a Prompt,
    pub(super) colour: bool,
}

impl View<'_> {
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let width = usize::from(area.width);
        let (machine, foot) = (self.machine(width), self.foot(width));
        let lines = |of: &Vec<Line<'_>>| u16::try_from(of.len()).unwrap_or(u16::MAX);
        let [head, chart, machine_area, log, foot_area] =
            Layout::vertical(heights(area.height, lines(&machine), lines(&foot))).areas(area);
        self.head(frame, head);
        if chart.height >= LOWEST_CHART {
            self.chart(frame, chart);
        }
        frame.render_widget(Paragraph::new(machine), machine_area);
        self.log(frame, log);
        frame.render_widget(Paragraph::new(foot), foot_area);
    }

    fn head(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = Layout::vertical([Constraint::Length(1); 3]).split(area);
        let (scene, width) = (self.scene, usize::from(area.width));
        let doing = match self.more().filter(|it| self.is_short(it, width)) {
            Some(more) => format!("{}: {more}", scene.doing),
            None => scene.doing.clone(),
        };
        let part_of = scene.part_of.as_ref().map(|it| format!(", a part of {it}")).unwrap_or_default();
        let elapsed = format!("  {}", size::whole(scene.elapsed));
        let mut room = width.saturating_sub(scene.run.chars().count() + 2 + doing.chars().count());
        let mut fits = |text: String| {
            let left = room.checked_sub(text.chars().count());
            room = left.unwrap_or(room);
            left.map(|_| text).unwrap_or_default()
        };
        let (part_of, elapsed) = (fits(part_of), fits(elapsed));
        let title = Line::from(vec![
            Span::styled(scene.run.clone(), Style::new().add_modifier(Modifier::BOLD)),
            Span::styled(part_of, faint()),
            Span::raw("  "),
            Span::styled(doing, self.tint(Color::Green)),
            Span::styled(elapsed, faint()),
        ]);
        frame.render_widget(Paragraph::new(title), rows[0]);
        match (scene.last, scene.total_steps) {
            (Some(last), Some(total)) if total > 0 => {
                #[expect(clippy::cast_precision_loss, reason = "counts of steps are far below 2^52")]
                let ratio = (last.step as f64 / total as f64).clamp(0.0, 1.0);
                let gauge = LineGauge::default()
                    .ratio(ratio)
                    .label(format!("step {}/{total} {:3.0} %", last.step, ratio * 100.0))
                    .filled_symbol(line::THICK_HORIZONTAL)
                    .unfilled_symbol(line::HORIZONTAL)
                    .filled_style(self.tint(Color::Cyan))
                    .unfilled_style(faint());
                frame.render_widget(gauge, rows[1]);
            }
            (Some(last), _) => frame.render_widget(Paragraph::new(format!("step {}", last.step)), rows[1]),
            (None, _) => frame.render_widget(Paragraph::new("no step yet"), rows[1]),
        }
        frame.render_widget(Paragraph::new(self.numbers(width)), rows[2]);
    }

    /// What a stop, or a run that has not begun, waits for.
    fn more(&self) -> Option<String> {
        let waits = self.scene.waits_for.as_ref().map(|it| format!("waits for {it}"));
        self.scene.stopping.map(str::to_owned).or(waits)
    }

    /// There is room for it beside the name of the run; else it has lines of its own.
    fn is_short(&self, more: &str, width: usize) -> bool {
        let Scene { run, doing, .. } = self.scene;
        [run, doing, more].map(|it| it.chars().count()).iter().sum::<usize>() + 4 <= width
    }

    /// `loss 0.2104  average 0.2201  0.08 s/step  25 s left  epoch 3/10  lr 2e-5`
    fn numbers(&self, width: usize) -> String {
        let scene = self.scene;
        let mut parts = vec![];
        if let Some(last) = scene.last {
            parts.push(format!("loss {:.4}", last.loss));
            let average = scene.smoothed.last().filter(|it| it.is_finite());
            parts.extend(average.map(|it| format!("average {it:.4}")));
        }
        parts.extend(scene.pace.map(|pace| format!("{pace:.2} s/step")));
        parts.extend(scene.left.map(|left| format!("{} left", size::whole(left))));
        let of = scene.epochs.map(|epochs| format!("/{epochs}")).unwrap_or_default();
        parts.extend(scene.epoch.map(|epoch| format!("epoch {epoch}{of}")));
        let lr = scene.last.map(|it| it.lr).filter(|it| it.is_finite());
        parts.extend(lr.map(|lr| format!("lr {lr:e}")));
        fitting(parts, "  ", width)
    }

    fn chart(&self, frame: &mut Frame<'_>, area: Rect) {
        // Two points a column is what braille can show.
        let room = usize::from(area.width) * 2;
        let points = |values: &[f64]| -> Vec<(f64, f64)> {
            let thin = figures::thinned(values, room);
            let all = thin.iter().copied().enumerate().filter(|(_, it)| it.is_finite());
            #[expect(clippy::cast_precision_loss, reason = "columns of a terminal")]
            let points = all.map(|(at, value)| (at as f64, value)).collect();
            points
        };
        let (losses, smooth) = (points(&self.scene.losses), points(&self.scene.smoothed));
        let Some((low, high)) = bounds(&losses) else { return };
        let last = losses.last().map_or(1.0, |(at, _)| at.max(1.0));
        let sets = vec![
            Dataset::default().marker(Marker::Dot).style(faint()).data(&losses),
            Dataset::default()
                .marker(Marker::Braille)
                .graph_type(GraphType::Line)
                .style(self.tint(Color::Cyan))
                .data(&smooth),
        ];
        let chart = Chart::new(sets).x_axis(Axis::default().style(faint()).bounds([0.0, last])).y_axis(
            Axis::default()
                .style(faint())
                .bounds([low, high])
                .labels([format!("{low:.4}"), format!("{high:.4}")]),
        );
        frame.render_widget(chart, area);
    }

    fn machine(&self, width: usize) -> Vec<Line<'static>> {
        let scene = self.scene;
        let first_line = |it: &String| it.lines().next().unwrap_or_default().to_owned();
        let untold = scene.not_told.as_ref().map(first_line);
        let untold = untold.map(|why| format!("somebody was not told: {why}"));
        let wrong = scene.alarm.map(|it| it.to_string()).into_iter().chain(untold);
        let wrong = wrong.flat_map(|it| wrapped(&it, width, PROSE_LINES));
        let more = self.more().filter(|it| !self.is_short(it, width));
        let more = more.into_iter().flat_map(|it| wrapped(&it, width, PROSE_LINES)).map(Line::raw);
        let mut lines: Vec<Line<'static>> =
            more.chain(wrong.map(|it| Line::styled(it, self.alarm()))).collect();
        lines.extend(scene.gpus.iter().map(|gpu| self.gpu(gpu, width)));
        let ram = scene.memory;
        let ram = ram.map(|it| format!("RAM {} of {}", size::bytes(it.used), size::bytes(it.total)));
        let disk = scene.disk.map(|it| format!("disk {} free", size::bytes(it.free)));
        let checkpoint = scene.disk.and_then(|it| it.checkpoint);
        let need = checkpoint.map(|it| format!("a checkpoint takes {}", size::bytes(it)));
        let is_tight = |room: Room| checkpoint.is_some_and(|it| room.free < it.saturating_mul(3));
        let disk = fitting(disk.into_iter().chain(need).collect(), ", ", width);
        let style = if scene.disk.is_some_and(is_tight) { self.alarm() } else { Style::new() };
        // Beside each other where there is room for both.
        match ram {
            Some(ram) if ram.chars().count() + 3 + disk.chars().count() > width => {
                lines.push(Line::raw(ram));
                lines.push(Line::styled(disk, style));
            }
            Some(ram) => {
                let gap = if disk.is_empty() { "" } else { "   " };
                lines.push(Line::from(vec![Span::raw(ram + gap), Span::styled(disk, style)]));
            }
            None if disk.is_empty() => {}
            None => lines.push(Line::styled(disk, style)),
        }
        lines
    }

    /// `GPU 0  93 %  12.1 GiB of 24.0 GiB  285 W  71 °C  slowed by heat`
    fn gpu(&self, gpu: &GpuSample, width: usize) -> Line<'static> {
        let slowed = gpu.throttled.map(|it| match it {
            Throttle::Heat => ("  slowed by heat", true),
            Throttle::PowerBrake => ("  slowed by its power supply", true),
            Throttle::Hardware => ("  slowed by its hardware", true),
            Throttle::PowerLimit => ("  at its power limit", false),
        });
        let room = width.saturating_sub(slowed.map_or(0, |(text, _)| text.len()));
        let mut parts = vec![format!("GPU {}", gpu.index)];
        parts.extend(gpu.utilisation_percent.map(|it| format!("{it:3} %")));
        parts.extend(gpu.memory_used.map(|used| {
            let of = gpu.memory_total.map(|it| format!(" of {}", size::bytes(it))).unwrap_or_default();
            format!("{}{of}", size::bytes(used))
        }));
        parts.extend(gpu.power_w.map(|it| format!("{it:.0} W")));
        parts.extend(gpu.temperature_c.map(|it| format!("{it} °C")));
        let mut spans = vec![Span::raw(fitting(parts, "  ", room))];
        spans.extend(
            slowed.map(|(text, grave)| Span::styled(text, if grave { self.alarm() } else { faint() })),
        );
        Line::from(spans)
    }

    fn log(&self, frame: &mut Frame<'_>, area: Rect) {
        let lines = &self.scene.lines;
        let fits = usize::from(area.height);
        let last = lines[lines.len().saturating_sub(fits)..].iter();
        let text: Vec<Line<'_>> = last.map(|it| Line::styled(it.replace('\t', "    "), faint())).collect();
        frame.render_widget(Paragraph::new(text), area);
    }

    fn foot(&self, width: usize) -> Vec<Line<'static>> {
        let key = Style::new().add_modifier(Modifier::BOLD);
        match self.prompt {
            Prompt::Keys => {
                let length = |keys: &[(&str, &str)]| -> usize {
                    keys.iter().map(|(name, does)| name.len() + does.len() + 4).sum::<usize>() - 3
                };
                let keys = if length(&KEYS) <= width { &KEYS } else { &SHORT_KEYS };
                let spans = keys.iter().flat_map(|(name, does)| {
                    [Span::styled(*name, key), Span::raw(" "), Span::styled(*does, faint()), Span::raw("   ")]
                });
                vec![Line::from(spans.collect::<Vec<_>>())]
            }
            Prompt::Confirm(wish) => vec![Line::styled(wish.question(), self.alarm())],
            Prompt::Said(text, _) => wrapped(text, width, PROSE_LINES).into_iter().map(Line::raw).collect(),
        }
    }

    fn tint(&self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    fn alarm(&self) -> Style {
        self.tint(Color::Yellow).add_modifier(Modifier::BOLD)
    }
}

const fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// Of the head, the curve, the machine, the log and the keys. The keys come first: who cannot leave is lost.
fn heights(height: u16, machine: u16, foot: u16) -> [Constraint; 5] {
    let foot = height.min(foot);
    let head = (height - foot).min(3);
    let machine = (height - foot - head).min(machine);
    let rest = height - foot - head - machine;
    let log = if rest >= LOWEST_CHART + FEW_LINES { (rest / 3).max(FEW_LINES) } else { rest };
    [head, rest - log, machine, log, foot].map(Constraint::Length)
}

/// The first of these that fit, whole.
fn fitting(parts: Vec<String>, gap: &str, width: usize) -> String {
    let mut text = String::new();
    for part in parts {
        let gap = if text.is_empty() { "" } else { gap };
        if text.chars().count() + gap.chars().count() + part.chars().count() > width && !text.is_empty() {
            break;
        }
        text.push_str(gap);
        text.push_str(&part);
    }
    text
}

/// `text` in lines of whole words, at most so many; of what is left out `…` tells.
fn wrapped(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().map_or(0, |it| it.chars().count());
        if line > 0 && line + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else if let Some(last) = lines.last_mut() {
            last.push_str(if line > 0 { " " } else { "" });
            last.push_str(word);
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            while last.chars().count() + 2 > width && last.contains(' ') {
                last.truncate(last.rfind(' ').unwrap_or_default());
            }
            last.push_str(" …");
        }
    }
    lines
}

/// The values between which the curve is, `None` with fewer than two points. One wild step must not flatten the rest.
fn bounds(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    if points.len() < 2 {
        return None;
    }
    let mut values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[0], values[(values.len() - 1) * 98 / 100]);
    let margin = if high > low { (high - low) * 0.05 } else { 0.5 };
    Some((low - margin, high + margin))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::{Terminal, backend::TestBackend};

    use crate::{
        metrics::Record,
        platform::{clock::Stopwatch, memory::Memory},
        run::watchdog::Alarm,
    };

    use super::{super::prompt::Wish, *};

    fn scene() -> Scene {
        let losses: Vec<f64> = (0..300).map(|step| 1.0 / (1.0 + f64::from(step) / 40.0)).collect();
        let last = Record {
            step: 300,
            time: 0.0,
            loss: 0.1181,
            seconds_per_step: 0.5,
            samples_per_second: 2.0,
            lr: 2e-5,
            grad_norm: f64::NAN,
            epoch: Some(3),
        };
        Scene {
            run: "20261127T093942Z-wan".to_owned(),
            doing: "training".to_owned(),
            elapsed: Duration::from_secs(200),
            epoch: Some(3),
            epochs: Some(10),
            last: Some(last),
            total_steps: Some(1000),
            pace: Some(0.5),
            left: Some(Duration::from_secs(350)),
            smoothed: figures::smoothed(losses.iter().copied()),
            losses,
            gpus: vec![GpuSample {
                index: 0,
                utilisation_percent: Some(93),
                memory_used: Some(12 << 30),
                memory_total: Some(24 << 30),
                temperature_c: Some(84),
                power_w: Some(285.4),
                throttled: Some(Throttle::Heat),
            }],
            memory: Some(Memory { used: 20 << 30, total: 64 << 30 }),
            disk: Some(Room { free: 2 << 30, checkpoint: Some(1 << 30) }),
            lines: (1..=50).map(|line| format!("line {line} of the log")).collect(),
            ..Scene::default()
        }
    }

    fn shown(scene: &Scene, prompt: &Prompt, (width, height): (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        let view = View { scene, prompt, colour: false };
        terminal.draw(|frame| view.draw(frame)).expect("drawn");
        let text = terminal.backend().to_string();
        text.lines().map(|line| line.trim_matches('"').trim_end().to_owned() + "\n").collect()
    }

    #[test]
    fn a_run_is_shown_on_a_terminal_of_the_usual_size() {
        insta::assert_snapshot!(shown(&scene(), &Prompt::Keys, (80, 24)));
    }

    #[test]
    fn a_small_terminal_shows_what_matters_most() {
        let small = shown(&scene(), &Prompt::Confirm(Wish::Stop), (40, 10));
        let empty = shown(&Scene::default(), &Prompt::Keys, (80, 6));
        let said = Prompt::Said(
            "the supervisor has not answered for 5 s; press the key again, it may be busy".to_owned(),
            Stopwatch::start(),
        );
        let hangs = Scene {
            alarm: Some(Alarm::NoStep { seconds: 240, usual_seconds: 2.0 }),
            stopping: Some("waiting for the trainer to save and leave"),
            ..scene()
        };
        let (keys, said) = (shown(&hangs, &Prompt::Keys, (60, 15)), shown(&hangs, &said, (60, 15)));
        insta::assert_snapshot!(format!("{small}----\n{empty}----\n{keys}----\n{said}"));
    }

    #[test]
    fn what_is_wrong_and_what_is_waited_for_are_said() {
        let hangs = Scene { alarm: Some(Alarm::NotANumber { steps: 10 }), ..scene() };
        let waits = Scene {
            run: "20261127T093942Z-wan".to_owned(),
            doing: "queued".to_owned(),
            waits_for: Some("20261127T093000Z-other".to_owned()),
            ..Scene::default()
        };
        let (hangs, waits) = (shown(&hangs, &Prompt::Keys, (80, 12)), shown(&waits, &Prompt::Keys, (80, 6)));
        insta::assert_snapshot!(format!("{hangs}----\n{waits}"));
    }

    #[test]
    fn no_size_is_too_small_and_no_loss_too_odd() {
        let odd = Scene { losses: vec![f64::NAN, f64::INFINITY, 1.0], ..scene() };
        for scene in [scene(), odd, Scene::default()] {
            for (width, height) in (0..30).flat_map(|width| (0..30).map(move |height| (width, height))) {
                let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
                let view = View { scene: &scene, prompt: &Prompt::Keys, colour: true };
                terminal.draw(|frame| view.draw(frame)).expect("drawn");
            }
        }
    }

    #[test]
    fn without_colours_there_is_none_in_any_cell() {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a terminal");
        let (scene, prompt) = (scene(), Prompt::Confirm(Wish::StopNow));
        for (colour, expected) in [(false, false), (true, true)] {
            let view = View { scene: &scene, prompt: &prompt, colour };
            terminal.draw(|frame| view.draw(frame)).expect("drawn");
            let cells = &terminal.backend().buffer().content;
            assert_eq!(cells.iter().any(|cell| cell.fg != Color::Reset), expected);
        }
    }
}
