//! The format of a history: what clients asked of one database and what they were told, as JSON lines, one for each operation.
//!
//! An operation is one transaction: a statement, or a batch. Lists are of integers; the database starts without any.
//!
//! | member | content |
//! |---|---|
//! | `op` | the operation's number, unique |
//! | `session` | the session's name, or null: asked outside of sessions, which the primary answers |
//! | `steps` | what was asked, in order: `{"list":"x","append":5}`, and `{"list":"x","read":[1,5]}` with what was answered (null: nothing) |
//! | `start`, `end` | milliseconds of a clock that never goes back, read before the request was sent and after its answer came |
//! | `outcome` | `ok`; `failed`: certainly without effect; `unknown`: perhaps without |
//! | `tier` | who answered: `isolate`, `replica` or `primary`; null unless `ok` |
//! | `before` | the session's bookmark when the operation began, or null |
//! | `after` | the session's bookmark when it ended, or null |
//! | `follows` | operations whose bookmarks were handed to this session before this operation; may be absent |
//! | `location` | where the request arrived; for the reader only; may be absent |
//!
//! **Invariants**, which [`parse`] holds a history to
//! 1. The order within a session is the order of lines. Times of one session may overlap, which claims less.
//! 2. A value is appended once in the whole history.
//! 3. `follows` names operations of sessions, on earlier lines, that were answered.
//! 4. All writes of a list are in the history: nobody else appends.
//!
//! **Not here:** whether a history is as promised (`definitions`, `by_adya`).

use littoral_protocol::Bookmark;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fmt;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Step {
    Append { list: String, append: i64 },
    Read { list: String, read: Option<Vec<i64>> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    Failed,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    Isolate,
    Replica,
    Primary,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    pub op: u64,
    pub session: Option<String>,
    pub steps: Vec<Step>,
    pub start: f64,
    pub end: f64,
    pub outcome: Outcome,
    pub tier: Option<Tier>,
    pub before: Option<String>,
    pub after: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follows: Vec<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

impl Operation {
    pub fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    pub fn is_by_primary(&self) -> bool {
        self.tier == Some(Tier::Primary)
    }

    pub fn appends(&self) -> impl Iterator<Item = (&str, i64)> {
        self.steps.iter().filter_map(|step| match step {
            Step::Append { list, append } => Some((list.as_str(), *append)),
            Step::Read { .. } => None,
        })
    }

    /// What was read; nothing, of an operation without an answer.
    pub fn reads(&self) -> impl Iterator<Item = (&str, &[i64])> {
        self.steps.iter().filter_map(|step| match step {
            Step::Read { list, read: Some(read) } => Some((list.as_str(), read.as_slice())),
            Step::Read { .. } | Step::Append { .. } => None,
        })
    }

    pub fn before_txid(&self) -> Option<u64> {
        txid_of(self.before.as_deref())
    }

    pub fn after_txid(&self) -> Option<u64> {
        txid_of(self.after.as_deref())
    }
}

fn txid_of(text: Option<&str>) -> Option<u64> {
    text.and_then(|text| text.parse::<Bookmark>().ok()).map(|bookmark| bookmark.txid.0)
}

/// One line for a report; long lists are cut.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let txid = |txid: Option<u64>| txid.map_or("-".into(), |txid| txid.to_string());
        let session = self.session.as_ref().map_or("no session".into(), |name| format!("session {name}"));
        let tier = self.tier.map_or("nobody".into(), |tier| format!("{tier:?}").to_lowercase());
        let outcome = format!("{:?}", self.outcome).to_lowercase();
        let (before, after) = (txid(self.before_txid()), txid(self.after_txid()));
        write!(f, "op {}, {session}, {:.3} to {:.3} ms, {outcome} by {tier}, ", self.op, self.start, self.end)?;
        write!(
            f,
            "txid {before} -> {after}{}:",
            if self.follows.is_empty() { String::new() } else { format!(", follows {:?}", self.follows) }
        )?;
        for step in &self.steps {
            match step {
                Step::Append { list, append } => write!(f, " append {append} to {list};")?,
                Step::Read { list, read: None } => write!(f, " read {list};")?,
                Step::Read { list, read: Some(read) } => write!(f, " read {list}: {};", cut(read))?,
            }
        }
        Ok(())
    }
}

/// The end of a list, where differences are.
pub fn cut(list: &[i64]) -> String {
    const SHOWN: usize = 6;
    match list.len().checked_sub(SHOWN) {
        None | Some(0) => format!("{list:?}"),
        Some(hidden) => format!("[{hidden} more, {}", &format!("{:?}", &list[hidden..])[1..]),
    }
}

/// Reads a history, or says what is no history.
pub fn parse(text: &str) -> Result<Vec<Operation>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let history: Vec<Operation> = lines
        .map(|(index, line)| serde_json::from_str(line).map_err(|error| format!("line {}: {error}", index + 1)))
        .collect::<Result<_, _>>()?;
    let mut by_number: HashMap<u64, &Operation> = HashMap::new();
    let mut values = HashSet::new();
    for operation in &history {
        well_formed(operation).map_err(|error| format!("op {}: {error}", operation.op))?;
        for (_, value) in operation.appends() {
            if !values.insert(value) {
                return Err(format!("op {}: {value} was appended before", operation.op));
            }
        }
        for followed in &operation.follows {
            if !by_number.get(followed).is_some_and(|followed| followed.is_ok() && followed.session.is_some()) {
                return Err(format!("op {}: follows {followed}, which is no earlier answer in a session", operation.op));
            }
        }
        if by_number.insert(operation.op, operation).is_some() {
            return Err(format!("op {} is there twice", operation.op));
        }
    }
    Ok(history)
}

fn well_formed(operation: &Operation) -> Result<(), String> {
    let ok = operation.is_ok();
    let unanswered = |step: &Step| matches!(step, Step::Read { read: None, .. });
    let answered = |step: &Step| matches!(step, Step::Read { read: Some(_), .. });
    for text in [&operation.before, &operation.after].into_iter().flatten() {
        text.parse::<Bookmark>().map_err(|error| format!("{text:?}: {error}"))?;
    }
    let faults = [
        (operation.steps.is_empty(), "asks nothing"),
        (!operation.start.is_finite() || !operation.end.is_finite() || operation.start > operation.end, "ends before it starts"),
        (ok != operation.tier.is_some(), "has a tier if and only if it is ok"),
        (ok && operation.steps.iter().any(unanswered), "is ok and has a read without an answer"),
        (!ok && operation.steps.iter().any(answered), "is not ok and has an answer"),
        (ok && operation.session.is_some() && operation.after.is_none(), "is ok in a session and has no bookmark"),
        (operation.session.is_none() && (operation.before.is_some() || operation.after.is_some()), "has a bookmark and no session"),
        (operation.session.is_none() && !operation.follows.is_empty(), "follows and has no session"),
        (ok && operation.appends().next().is_some() && !operation.is_by_primary(), "was written elsewhere than at the primary"),
        (ok && operation.session.is_none() && !operation.is_by_primary(), "was answered elsewhere than at the primary, without a session"),
    ];
    faults.into_iter().find_map(|(found, fault)| found.then_some(fault)).map_or(Ok(()), |fault| Err(fault.into()))
}

/// The text of a history.
pub fn to_text(history: &[Operation]) -> String {
    history.iter().map(|operation| serde_json::to_string(operation).unwrap() + "\n").collect()
}

/// What a checker found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Who found it: the rule's name, or adya's model.
    pub rule: &'static str,
    /// The kind of fault, in few words.
    pub kind: String,
    /// The offending operations.
    pub ops: Vec<u64>,
    pub text: String,
}

/// Findings, each with its operations.
pub fn report(history: &[Operation], findings: &[Finding]) -> String {
    const SHOWN: usize = 20;
    let mut text = String::new();
    for finding in findings.iter().take(SHOWN) {
        text += &format!("\n{}: {}: {}\n", finding.rule, finding.kind, finding.text);
        for operation in history.iter().filter(|operation| finding.ops.contains(&operation.op)).take(SHOWN) {
            text += &format!("    {operation}\n");
        }
    }
    if findings.len() > SHOWN {
        text += &format!("\nand {} findings more\n", findings.len() - SHOWN);
    }
    text
}
