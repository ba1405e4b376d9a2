//! What to search for: filters in the words of the wire.

use aws_sdk_deadline::types::{
    ComparisonOperator, DateTimeFilterExpression, LogicalOperator, ParameterFilterExpression, SearchFilterExpression,
    SearchGroupedFilterExpressions, SearchTermFilterExpression, StringFilterExpression, StringListFilterExpression,
};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::Value;

use crate::error::{CoreError, Result};

/// Which jobs are searched for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobSearch {
    /// How many at most.
    pub limit: usize,
    /// `filterExpressions` of the operation: `{"filters": [...], "operator": "AND" | "OR"}`.
    pub filter: Option<Value>,
    /// By the time of their creation; otherwise the newest come first.
    pub oldest_first: bool,
}

fn refuse(what: &str, value: &Value) -> CoreError {
    CoreError::Operation(format!(
        "The filter of SearchJobs cannot be used: {what}, not {value}. Give filterExpressions as the service's \
         reference has them."
    ))
}

/// Reads a group of filters.
pub(super) fn filter_group(document: &Value) -> Result<SearchGroupedFilterExpressions> {
    let filters = document["filters"].as_array().ok_or_else(|| refuse("\"filters\" is a list", document))?;
    SearchGroupedFilterExpressions::builder()
        .set_filters(Some(filters.iter().map(filter).collect::<Result<_>>()?))
        .operator(LogicalOperator::from(text(document, "operator")?.as_str()))
        .build()
        .map_err(|err| refuse(&err.to_string(), document))
}

fn text(document: &Value, member: &str) -> Result<String> {
    let found = document[member].as_str().map(str::to_owned);
    found.ok_or_else(|| refuse(&format!("{member:?} is a text"), document))
}

fn filter(document: &Value) -> Result<SearchFilterExpression> {
    let only = document.as_object().filter(|object| object.len() == 1).and_then(|object| object.iter().next());
    let (kind, members) = only.ok_or_else(|| refuse("a filter is an object with one member", document))?;
    let missing = |err: aws_smithy_types::error::operation::BuildError| refuse(&err.to_string(), document);
    let operator = || Ok::<_, CoreError>(ComparisonOperator::from(text(members, "operator")?.as_str()));
    Ok(match kind.as_str() {
        "groupFilter" => SearchFilterExpression::GroupFilter(filter_group(members)?),
        "stringFilter" => SearchFilterExpression::StringFilter(
            StringFilterExpression::builder()
                .name(text(members, "name")?)
                .operator(operator()?)
                .value(text(members, "value")?)
                .build()
                .map_err(missing)?,
        ),
        "stringListFilter" => {
            let values = members["values"].as_array().ok_or_else(|| refuse("\"values\" is a list", members))?;
            let values = values.iter().map(|value| value.as_str().map(str::to_owned));
            let values: Option<Vec<String>> = values.collect();
            SearchFilterExpression::StringListFilter(
                StringListFilterExpression::builder()
                    .name(text(members, "name")?)
                    .operator(operator()?)
                    .set_values(Some(values.ok_or_else(|| refuse("\"values\" are texts", members))?))
                    .build()
                    .map_err(missing)?,
            )
        }
        "dateTimeFilter" => {
            let moment = text(members, "dateTime")?;
            let moment = DateTime::from_str(&moment, Format::DateTimeWithOffset)
                .map_err(|_| refuse("\"dateTime\" is an ISO 8601 time with its offset", members))?;
            SearchFilterExpression::DateTimeFilter(
                DateTimeFilterExpression::builder()
                    .name(text(members, "name")?)
                    .operator(operator()?)
                    .date_time(moment)
                    .build()
                    .map_err(missing)?,
            )
        }
        "searchTermFilter" => SearchFilterExpression::SearchTermFilter(
            SearchTermFilterExpression::builder().search_term(text(members, "searchTerm")?).build().map_err(missing)?,
        ),
        "parameterFilter" => SearchFilterExpression::ParameterFilter(
            ParameterFilterExpression::builder()
                .name(text(members, "name")?)
                .operator(operator()?)
                .value(text(members, "value")?)
                .build()
                .map_err(missing)?,
        ),
        _ => return Err(refuse("the kinds of filters are those of the service", document)),
    })
}
