//! Faults on demand, so that tests can meet the moments that matter.
//!
//! `Fail` is the core's; the others are the shell's, which owns answers and time.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use super::status::Status;

/// Around the plane's own commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Nothing is done yet.
    Before,
    /// The write is durable; the answer is not sent.
    After,
}

/// What goes wrong with a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The call waits at that moment until [`Faults::clear`], or for ever.
    Hold(Moment),
    /// The next `times` calls fail and do nothing.
    Fail {
        /// How often.
        times: u32,
        /// With what.
        status: Status,
    },
    /// The next `times` calls are done and the connection breaks instead of an answer.
    Drop {
        /// How often.
        times: u32,
    },
}

/// The faults in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Every answer comes this much later.
    pub latency: Duration,
    by_method: BTreeMap<String, Fault>,
}

impl Faults {
    /// Sets the fault of a method, instead of the one it had.
    pub fn set(&mut self, method: &str, fault: Fault) {
        self.by_method.insert(method.to_owned(), fault);
    }

    /// Ends all faults; held calls go on.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether calls of the method wait at that moment.
    pub fn holds(&self, method: &str, moment: Moment) -> bool {
        self.by_method.get(method) == Some(&Fault::Hold(moment))
    }

    /// The status to fail with, used up by this call.
    pub fn take_failure(&mut self, method: &str) -> Option<Status> {
        match self.by_method.get_mut(method) {
            Some(Fault::Fail { times, status }) if *times > 0 => {
                *times -= 1;
                Some(status.clone())
            }
            Some(Fault::Fail { .. } | Fault::Hold(_) | Fault::Drop { .. }) | None => None,
        }
    }

    /// Whether the answer is to be dropped, used up by this call.
    pub fn take_drop(&mut self, method: &str) -> bool {
        match self.by_method.get_mut(method) {
            Some(Fault::Drop { times }) if *times > 0 => {
                *times -= 1;
                true
            }
            Some(Fault::Fail { .. } | Fault::Hold(_) | Fault::Drop { .. }) | None => false,
        }
    }
}

impl FromStr for Faults {
    type Err = String;

    /// Reads `hold-before METHOD`, `hold-after METHOD`, `drop N METHOD`, `fail N CODE METHOD` and
    /// `latency MILLISECONDS`, separated by commas.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let words: Vec<&str> = part.split_whitespace().collect();
            let number = |word: &str| {
                word.parse::<u32>().map_err(|_| format!("`{word}` is not a number in `{part}`"))
            };
            match words.as_slice() {
                ["latency", millis] => {
                    faults.latency = Duration::from_millis(u64::from(number(millis)?));
                }
                ["hold-before", method] => faults.set(method, Fault::Hold(Moment::Before)),
                ["hold-after", method] => faults.set(method, Fault::Hold(Moment::After)),
                ["drop", times, method] => {
                    faults.set(method, Fault::Drop { times: number(times)? });
                }
                ["fail", times, code, method] => {
                    let code = i32::try_from(number(code)?).unwrap_or(i32::MAX);
                    let status = Status::new(code, "a fault on demand");
                    faults.set(method, Fault::Fail { times: number(times)?, status });
                }
                _ => return Err(format!("`{part}` is not a fault")),
            }
        }
        Ok(faults)
    }
}
