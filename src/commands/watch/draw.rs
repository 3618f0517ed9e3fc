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
    run::scene::Scene,
};

use super::prompt::{KEYS, Prompt};

/// Lines that a curve needs to say anything.
const LOWEST_CHART: u16 = 6;

/// Lines of the log where there is not much room.
const FEW_LINES: u16 = 4;

pub(super) struct View<'a> {
    pub(super) scene: &'a Scene,
    pub(super) prompt: &'a Prompt,
    pub(super) colour: bool,
}

impl View<'_> {
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let machine = self.machine();
        let machine_height = u16::try_from(machine.len()).unwrap_or(u16::MAX);
        let [head, chart, machine_area, log, foot] =
            Layout::vertical(heights(area.height, machine_height)).areas(area);
        self.head(frame, head);
        if chart.height >= LOWEST_CHART {
            self.chart(frame, chart);
        }
        frame.render_widget(Paragraph::new(machine), machine_area);
        self.log(frame, log);
        frame.render_widget(Paragraph::new(self.foot()), foot);
    }

    fn head(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = Layout::vertical([Constraint::Length(1); 3]).split(area);
        let scene = self.scene;
        let waits = scene.waits_for.as_ref().map(|it| format!("waits for {it}"));
        let more = scene.stopping.map(str::to_owned).or(waits);
        let doing = more.map_or_else(|| scene.doing.clone(), |it| format!("{}: {it}", scene.doing));
        let part_of = scene.part_of.as_ref().map(|it| format!(", a part of {it}")).unwrap_or_default();
        let title = Line::from(vec![
            Span::styled(scene.run.clone(), Style::new().add_modifier(Modifier::BOLD)),
            Span::styled(part_of, faint()),
            Span::raw("  "),
            Span::styled(doing, self.tint(Color::Green)),
            Span::styled(format!("  {}", size::whole(scene.elapsed)), faint()),
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
        frame.render_widget(Paragraph::new(self.numbers()), rows[2]);
    }

    /// `loss 0.2104  average 0.2201  0.08 s/step  25 s left  epoch 3/10  lr 2e-5`
    fn numbers(&self) -> String {
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
        parts.join("  ")
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

    fn machine(&self) -> Vec<Line<'static>> {
        let scene = self.scene;
        let alarm = scene.alarm.map(|it| Line::styled(it.to_string(), self.alarm()));
        let first_line = |it: &String| it.lines().next().unwrap_or_default().to_owned();
        let untold = scene.not_told.as_ref().map(first_line);
        let untold = untold.map(|why| Line::styled(format!("somebody was not told: {why}"), self.alarm()));
        let mut lines: Vec<Line<'static>> =
            alarm.into_iter().chain(untold).chain(scene.gpus.iter().map(|gpu| self.gpu(gpu))).collect();
        let mut parts = vec![];
        parts.extend(
            scene
                .memory
                .map(|it| Span::raw(format!("RAM {} of {}", size::bytes(it.used), size::bytes(it.total)))),
        );
        if let Some(room) = scene.disk {
            let separator = if parts.is_empty() { "" } else { "   " };
            let need = room.checkpoint.map(|it| format!(", a checkpoint takes {}", size::bytes(it)));
            let text = format!("{separator}disk {} free{}", size::bytes(room.free), need.unwrap_or_default());
            let tight = room.checkpoint.is_some_and(|checkpoint| room.free < checkpoint.saturating_mul(3));
            parts.push(if tight { Span::styled(text, self.alarm()) } else { Span::raw(text) });
        }
        lines.extend((!parts.is_empty()).then(|| Line::from(parts)));
        lines
    }

    /// `GPU 0  93 %  12.1 GiB of 24.0 GiB  285 W  71 °C  slowed by heat`
    fn gpu(&self, gpu: &GpuSample) -> Line<'static> {
        let mut parts = vec![format!("GPU {}", gpu.index)];
        parts.extend(gpu.utilisation_percent.map(|it| format!("{it:3} %")));
        parts.extend(gpu.memory_used.map(|used| {
            let of = gpu.memory_total.map(|it| format!(" of {}", size::bytes(it))).unwrap_or_default();
            format!("{}{of}", size::bytes(used))
        }));
        parts.extend(gpu.power_w.map(|it| format!("{it:.0} W")));
        parts.extend(gpu.temperature_c.map(|it| format!("{it} °C")));
        let mut spans = vec![Span::raw(parts.join("  "))];
        let slowed = gpu.throttled.map(|it| match it {
            Throttle::Heat => ("slowed by heat", true),
            Throttle::PowerBrake => ("slowed by its power supply", true),
            Throttle::Hardware => ("slowed by its hardware", true),
            Throttle::PowerLimit => ("at its power limit", false),
        });
        spans.extend(slowed.map(|(text, grave)| {
            Span::styled(format!("  {text}"), if grave { self.alarm() } else { faint() })
        }));
        Line::from(spans)
    }

    fn log(&self, frame: &mut Frame<'_>, area: Rect) {
        let lines = &self.scene.lines;
        let fits = usize::from(area.height);
        let last = lines[lines.len().saturating_sub(fits)..].iter();
        let text: Vec<Line<'_>> = last.map(|it| Line::styled(it.replace('\t', "    "), faint())).collect();
        frame.render_widget(Paragraph::new(text), area);
    }

    fn foot(&self) -> Line<'_> {
        let key = Style::new().add_modifier(Modifier::BOLD);
        match self.prompt {
            Prompt::Keys => {
                let spans = KEYS.iter().flat_map(|(name, does)| {
                    [Span::styled(*name, key), Span::raw(" "), Span::styled(*does, faint()), Span::raw("   ")]
                });
                Line::from(spans.collect::<Vec<_>>())
            }
            Prompt::Confirm(wish) => Line::styled(wish.question(), self.alarm()),
            Prompt::Said(text) => Line::raw(text.as_str()),
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
fn heights(height: u16, machine: u16) -> [Constraint; 5] {
    let foot = height.min(1);
    let head = (height - foot).min(3);
    let machine = (height - foot - head).min(machine);
    let rest = height - foot - head - machine;
    let log = if rest >= LOWEST_CHART + FEW_LINES { (rest / 3).max(FEW_LINES) } else { rest };
    [head, rest - log, machine, log, foot].map(Constraint::Length)
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
        platform::memory::Memory,
        run::{scene::Room, watchdog::Alarm},
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
        insta::assert_snapshot!(format!("{small}----\n{empty}"));
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
