//! Which value goes to which parameter of a statement.

use super::Error;
use crate::sqlite::statement::Statement;
use littoral_protocol::sql::Statement as Text;

/// What may stand before the name of a parameter, and may be left out.
const PREFIXES: [char; 3] = [':', '@', '$'];

/// The numbers of the parameters that a text gives values to by name, in the order of those values. Its other values are for the first
/// parameters.
pub(super) fn numbers(statement: &Statement, text: &Text) -> Result<Vec<usize>, Error> {
    let Text { parameters, named, .. } = text;
    let count = statement.parameter_count();
    if named.is_empty() && parameters.len() != count || parameters.len() > count {
        return Err(Error::ParameterCount);
    }
    let number = |name: &String| {
        let is_named = |parameter: &str| parameter == name || parameter.strip_prefix(PREFIXES) == Some(name);
        let number = (1..=count).find(|number| statement.parameter_name(*number).is_some_and(is_named));
        number.ok_or_else(|| Error::UnknownParameter { name: name.clone() })
    };
    named.iter().map(|(name, _)| number(name)).collect()
}
