//! A plan for a terminal.

use anstyle::{AnsiColor, Style};

use super::super::{Deferred, Step, Unmatched};
use super::{View, details, forgotten_because, summary, symbol, unknowns};
use crate::model::{FingerprintKey, Verb, clean, parallel};

/// The plan as text; ends with a line break.
pub fn text(view: &View<'_>) -> String {
    // Room that is not used costs nothing; growing into it would hold a large plan twice.
    let room = view.plan.steps.len().saturating_mul(STEP_BYTES);
    let mut page = Page { out: String::with_capacity(room), colour: view.colour };
    for block in view.plan.steps.chunks(BLOCK) {
        for (step, details) in block.iter().zip(all_details(block, view.key)) {
            add_step(&mut page, view, step, &details);
        }
    }
    for id in &view.plan.forget {
        page.line("", &format!("forget {id} ({})", forgotten_because(id)), PLAIN);
    }
    let (stays, waits): (Vec<&Deferred>, Vec<&Deferred>) =
        view.plan.deferred.iter().partition(|it| view.plan.not_applied.contains(&it.id));
    for (title, all) in [("Not applied:", stays), ("Deferred:", waits)] {
        if !all.is_empty() {
            page.title(title);
        }
        for deferred in all {
            add_deferred(&mut page, view, deferred);
        }
    }
    if !view.plan.unmatched.is_empty() {
        page.title("Matches no selector:");
        for Unmatched { id, labels, at } in &view.plan.unmatched {
            let line = format!("{id}: {labels}  {}", (view.locate)(at));
            page.line("  ", &line, PLAIN);
        }
    }
    add_held(&mut page, view);
    if !view.serving.is_empty() {
        page.title("Kubernetes Services:");
        for note in view.serving {
            let style = if note.fact.is_warning() { WARN } else { PLAIN };
            page.line("  ", &note.to_string(), style);
        }
    }
    let unknown = unknowns(view.plan);
    if !unknown.is_empty() {
        page.title("Not known:");
        for line in unknown {
            page.line("  ", &line, WARN);
        }
    }
    if !page.out.is_empty() {
        page.out.push('\n');
    }
    page.line("", &summary(view.plan), BOLD);
    page.out
}

const ADDED: Style = AnsiColor::Green.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const TAKEN: Style = AnsiColor::Cyan.on_default();
const WARN: Style = AnsiColor::Yellow.on_default();
const BOLD: Style = Style::new().bold();
const PLAIN: Style = Style::new();

const fn style(verb: Verb) -> Style {
    match verb {
        Verb::Create => ADDED,
        Verb::Update => CHANGED,
        Verb::Adopt => TAKEN,
        Verb::Delete => REMOVED,
    }
}

struct Page {
    out: String,
    colour: bool,
}

impl Page {
    fn line(&mut self, indent: &str, text: &str, style: Style) {
        self.out.push_str(indent);
        if self.colour && style != PLAIN {
            self.out.push_str(&style.render().to_string());
            self.out.push_str(&clean(text));
            self.out.push_str(&style.render_reset().to_string());
        } else {
            self.out.push_str(&clean(text));
        }
        self.out.push('\n');
    }

    fn title(&mut self, text: &str) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.line("", text, BOLD);
    }
}

/// What the text of one step takes at most, usually.
const STEP_BYTES: usize = 2048;

/// Steps whose details are in memory at once.
const BLOCK: usize = 512;

/// Fewest steps that are worth a second thread.
const SHARE_MIN: usize = 32;

/// The details of each step. Making YAML of a resource is most of the work of a large plan.
fn all_details(steps: &[Step], key: &FingerprintKey) -> Vec<String> {
    parallel::map(steps, SHARE_MIN, |step| details(step, key))
}

fn add_step(page: &mut Page, view: &View<'_>, step: &Step, details: &str) {
    let Step { id, action, reason: _, note: _, at, after: _ } = step;
    let verb = action.verb();
    let mut line = format!("{} {id}  ({})", symbol(verb), step.because());
    if verb == Verb::Adopt {
        line.push_str("  journal only");
    }
    if let Some(at) = at {
        line.push_str("  ");
        line.push_str(&(view.locate)(at));
    }
    page.line("", &line, style(verb));
    for line in details.lines() {
        let style = match (verb, line.as_bytes().first()) {
            (Verb::Update, Some(b'+')) => ADDED,
            (Verb::Update, Some(b'-')) => REMOVED,
            (Verb::Update, Some(b'@')) => TAKEN,
            _ => PLAIN,
        };
        page.line("    ", line, style);
    }
}

fn add_deferred(page: &mut Page, view: &View<'_>, deferred: &Deferred) {
    let Deferred { id, why, at } = deferred;
    let mut line = format!("{id}: {why}");
    if let Some(at) = at {
        line.push_str("  ");
        line.push_str(&(view.locate)(at));
    }
    page.line("  ", &line, WARN);
    if let Some(remedy) = why.remedy() {
        page.line("    ", remedy, PLAIN);
    }
}

fn add_held(page: &mut Page, view: &View<'_>) {
    let Some(gated) = view.gated.filter(|gated| !gated.held.is_empty()) else { return };
    page.title("Held by guards:");
    for held in &gated.held {
        let (id, verb, guard) = (&held.id, held.verb, held.guard);
        let line = format!("{verb} {id}: {guard} ({})", guard.name());
        page.line("  ", &line, WARN);
    }
    let asked = gated.approval.as_ref().map(|approval| (&approval.hash, approval.expires));
    let line = match asked {
        Some((_, Some(until))) => format!("approved until {until}"),
        Some((hash, None)) => format!("to approve: reconciler approve {hash}"),
        None => "to cancel a delete, restore its manifest".to_owned(),
    };
    page.line("  ", &line, PLAIN);
}
