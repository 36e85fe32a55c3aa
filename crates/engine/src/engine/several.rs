//! Texts of several statements: the last one has the result, or, in a script, each. SQLite itself finds where a statement ends, and each is
//! compiled after the one before it ran.
//!
//! **Not here:** running a statement (`connection`).

use super::connection::{Connection, Ran};
use super::rows_written::Known;
use super::text::{has_several_statements, is_blank};
use super::{Error, RowEncoder};
use crate::sqlite::statement::{SqlText, SqliteError, Statement};
use littoral_protocol::sql::Statement as Text;

impl Connection {
    /// Runs the statements of a text, each compiled after the one before it ran.
    pub(super) fn run_source<E: RowEncoder>(&self, text: &Text, options: E::Options) -> Result<(E, bool), Error> {
        let sql = text.sql.as_str();
        let source = SqlText::new(sql);
        let (mut begin, mut read_only, mut first) = (0, true, true);
        loop {
            let (statement, end, is_as_written) = self.compile_next((&source, sql), begin, first)?;
            let is_last = is_blank(&sql[end..]);
            match statement {
                Some(statement) if is_last && first && is_as_written => {
                    return self.run_whole(sql.into(), (statement, Box::default()), text, options);
                }
                Some(mut statement) => {
                    read_only &= statement.is_read_only();
                    if is_last {
                        return Ok((self.run_statement((&mut statement, &mut Known::default()), text, options)?, read_only));
                    }
                    self.run_leading(&mut statement)?;
                    first = false;
                }
                None if is_last => return Err(Error::NoStatement),
                None => {}
            }
            begin = end;
        }
    }

    /// Compiles the statement of a text that begins at this byte, maybe the text's first. Returns it, where it ends, and whether it was
    /// compiled as it is written.
    pub(super) fn compile_next(
        &self,
        (source, sql): (&SqlText, &str),
        begin: usize,
        first: bool,
    ) -> Result<(Option<Statement>, usize, bool), Error> {
        self.statement_offset.set(begin);
        self.compile(source, sql, begin).map_err(|error| {
            // D1 counts the offset in a later statement of a text from that statement's first character that is not blank.
            let blank = if first { 0 } else { sql[begin..].len() - sql[begin..].trim_start().len() };
            let offset = error.offset.map(|offset| offset.saturating_sub(blank));
            self.describe_caller(SqliteError { offset, ..error })
        })
    }

    /// Runs a statement that is not the last of its text: it takes no parameters and its rows are dropped.
    fn run_leading(&self, statement: &mut Statement) -> Result<(), Error> {
        if statement.parameter_count() > 0 {
            return Err(Error::ParametersNotLast);
        }
        let run = |statement: &mut Statement| {
            while statement.step().map_err(|error| self.describe_caller(error))? {}
            Ok(())
        };
        self.counting((statement, &mut Known::default()), run).map_err(|error| self.how_far(error))?;
        self.ran_well()
    }

    /// Runs the statements of a script, maybe the last text of its call, each compiled after the one before it ran.
    pub(super) fn run_script<E: RowEncoder>(
        &self,
        script: &Text,
        last: bool,
        options: E::Options,
        ran: &mut Vec<Ran<E>>,
    ) -> Result<(), Error> {
        if !has_several_statements(&script.sql) {
            ran.push(self.run(script, last, options)?);
            return Ok(());
        }
        let Text { sql, parameters, .. } = script;
        if sql.contains('\0') {
            return Err(Error::NulInText);
        }
        let source = SqlText::new(sql);
        let (mut begin, mut left) = (0, &parameters[..]);
        let mut first = true;
        while !is_blank(&sql[begin..]) {
            self.authorizer.take_writes();
            let (statement, end, _) = self.compile_next((&source, sql), begin, first)?;
            if let Some(mut statement) = statement {
                let (own, rest) = left.split_at(statement.parameter_count().min(left.len()));
                let own = Text::new("", own.to_vec());
                let read_only = statement.is_read_only();
                let run = || Ok((self.run_statement((&mut statement, &mut Known::default()), &own, options)?, read_only));
                ran.push(self.measured(&sql[begin..end], last && is_blank(&sql[end..]), run)?);
                (left, first) = (rest, false);
            }
            begin = end;
        }
        match first {
            true => Err(Error::NoStatement),
            false if !left.is_empty() => Err(Error::ParameterCount),
            false => Ok(()),
        }
    }
}
