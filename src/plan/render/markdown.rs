//! A plan for a comment on a pull request.

use super::super::{Deferred, Step, Unmatched};
use super::{View, details, forgotten_because, summary, symbol, unknowns};
use crate::manifest::render::JsonFinding;
use crate::model::{ResourceId, clean};

/// GitHub takes 65,536 characters for a comment; the rest is left to a heading and a footer of
/// whoever posts it.
pub const COMMENT_BYTES_MAX: usize = 60_000;

/// The plan as Markdown, cut at [`COMMENT_BYTES_MAX`] bytes with a note.
pub fn markdown(view: &View<'_>) -> String {
    let mut page = format!("**{}**\n\n", summary(view.plan));
    let blocks = blocks(view);
    let mut left_out = 0_usize;
    for block in blocks {
        // The note at the end needs room as well.
        if page.len().saturating_add(block.len()).saturating_add(100) > COMMENT_BYTES_MAX {
            left_out += 1;
        } else if left_out == 0 {
            page.push_str(&block);
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        page.extend([format!("… and {left_out} more that do not fit here.\n\n")]);
    }
    page.extend([format!("Plan `{}`\n", view.plan.digest.short())]);
    page
}

/// One piece of text each: guards, what is unknown, and why, first, because they must not be cut
/// off.
fn blocks<'a>(view: &'a View<'a>) -> impl Iterator<Item = String> + 'a {
    let mut notes = Vec::new();
    if let Some(gated) = view.gated {
        for held in &gated.held {
            let text = format!("{}", held.guard);
            notes.push(format!("- held: {} {}: {text}\n", held.verb, code(&held.id.to_string())));
        }
        if let Some(approval) = gated.approval.as_ref().filter(|it| it.expires.is_none()) {
            notes.push(format!("- to approve: `reconciler approve {}`\n", approval.hash));
        }
    }
    let serving = view.serving.iter().map(|note| format!("- {}\n", prose(&note.to_string())));
    notes.extend(serving);
    notes.extend(unknowns(view.plan).iter().map(|line| format!("- {}\n", prose(line))));
    let (remarks, wrong): (Vec<_>, Vec<_>) =
        view.findings.iter().partition(|it| it.severity == NOTE);
    notes.extend(wrong.into_iter().map(finding_line));
    if !notes.is_empty() {
        notes.push("\n".to_owned());
    }
    let steps = view.plan.steps.iter().map(|step| step_block(view, step));
    let forget = view.plan.forget.iter().map(forget_line);
    let deferred = view.plan.deferred.iter().map(|it| deferred_line(view, it));
    let unmatched = view.plan.unmatched.iter().map(unmatched_line);
    let remarks = remarks.into_iter().map(finding_line);
    notes.into_iter().chain(steps).chain(forget).chain(deferred).chain(unmatched).chain(remarks)
}

/// The severity of findings that may be cut off.
const NOTE: &str = "note";

fn finding_line(finding: &JsonFinding) -> String {
    let JsonFinding { at, severity, code: rule, message, hint, also: _ } = finding;
    let place = code(&format!("{}:{}:{}", at.path, at.line, at.column));
    let hint = hint.as_ref().map_or_else(String::new, |hint| format!(" ({})", prose(hint)));
    format!("- {severity} {rule}: {place}: {}{hint}\n", prose(message))
}

fn step_block(view: &View<'_>, step: &Step) -> String {
    let Step { id, action, reason: _, note: _, at, after: _ } = step;
    let verb = action.verb();
    let place = at.as_ref().map_or_else(String::new, |at| format!(" {}", html(&(view.locate)(at))));
    let because = prose(&step.because());
    let head = format!(
        "<code>{} {}</code> {verb} ({because}){place}",
        symbol(verb),
        html(&id.to_string())
    );
    let shown = details(step, view.key);
    if shown.is_empty() {
        return format!("{head}<br>\n\n");
    }
    let body: Vec<_> = shown.lines().map(clean).collect();
    let body = body.join("\n");
    let fence = fence(&body);
    let language = if verb == crate::model::Verb::Update { "diff" } else { "yaml" };
    format!(
        "<details><summary>{head}</summary>\n\n{fence}{language}\n{body}\n{fence}\n\n</details>\n\n"
    )
}

fn forget_line(id: &ResourceId) -> String {
    format!("- forget: {} ({})\n", code(&id.to_string()), forgotten_because(id))
}

fn deferred_line(view: &View<'_>, deferred: &Deferred) -> String {
    let Deferred { id, why, at } = deferred;
    let what = if view.plan.not_applied.contains(id) { "not applied" } else { "deferred" };
    let at = at.as_ref().map(|at| format!(" ({})", (view.locate)(at))).unwrap_or_default();
    format!("- {what}: {}: {}{at}\n", code(&id.to_string()), prose(&why.with_remedy()))
}

fn unmatched_line(unmatched: &Unmatched) -> String {
    let Unmatched { id, labels, at: _ } = unmatched;
    format!("- matches no selector: {}: {}\n", code(&id.to_string()), prose(labels))
}

/// A fence longer than every run of backticks inside.
fn fence(body: &str) -> String {
    let longest = body.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2).saturating_add(1))
}

/// Inline code; what Markdown would read inside is shown as it is.
fn code(text: &str) -> String {
    format!("<code>{}</code>", html(text))
}

/// Running text from outside: nothing in it is markup, a link or a mention.
fn prose(text: &str) -> String {
    html(text)
}

fn html(text: &str) -> String {
    let mut out = String::new();
    for c in clean(text).chars() {
        match c {
            // What starts markup, a mention or a reference in GitHub's Markdown.
            '&' | '<' | '>' | '`' | '*' | '_' | '[' | ']' | '|' | '@' | '#' | '~' | '\\' | '!' => {
                out.extend([format!("&#{};", u32::from(c))]);
            }
            c => out.push(c),
        }
    }
    out
}
